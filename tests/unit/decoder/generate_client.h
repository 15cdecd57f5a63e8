#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "conclave/v1/decoder.grpc.pb.h"

namespace conclave::decoder {

/// What a client heard of one sequence.
struct Heard {
  std::vector<int32_t> tokens;
  v1::SequenceEnd end;
  int ends = 0;
};

/// One Generate stream, read by the test's thread.
class GenerateClient {
 public:
  explicit GenerateClient(v1::DecoderService::Stub& stub) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(120));
    stream_ = stub.Generate(&context_);
  }

  void Admit(const v1::AdmitSequence& sequence) {
    v1::GenerateRequest request;
    *request.mutable_admit() = sequence;
    EXPECT_TRUE(stream_->Write(request));
  }
  void Cancel(uint64_t id) {
    v1::GenerateRequest request;
    request.mutable_cancel()->set_sequence_id(id);
    EXPECT_TRUE(stream_->Write(request));
  }

  /// Takes what one step made; false when the stream is over.
  bool Read() {
    v1::GenerateResponse response;
    if (!stream_->Read(&response)) return false;
    for (const v1::SequenceEvent& event : response.events()) {
      Heard& heard = heard_[event.sequence_id()];
      EXPECT_EQ(heard.ends, 0) << "an event came after the end of sequence " << event.sequence_id();
      heard.tokens.insert(heard.tokens.end(), event.token_ids().begin(), event.token_ids().end());
      if (!event.has_end()) continue;
      heard.end = event.end();
      ++heard.ends;
    }
    return true;
  }

  /// Reads until the sequence has ended, and returns what was heard of it.
  const Heard& UntilEnd(uint64_t id) {
    while (heard_[id].ends == 0) {
      if (Read()) continue;
      ADD_FAILURE() << "the stream ended before sequence " << id << " did";
      break;
    }
    return heard_[id];
  }

  const Heard& heard(uint64_t id) { return heard_[id]; }
  void HalfClose() { stream_->WritesDone(); }
  void TryCancel() { context_.TryCancel(); }

  /// Reads what is left; the stream's status.
  grpc::Status Finish() {
    while (Read()) {
    }
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::GenerateRequest, v1::GenerateResponse>> stream_;
  std::map<uint64_t, Heard> heard_;
};

}  // namespace conclave::decoder
