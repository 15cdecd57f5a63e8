#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "platform/module.h"
#include "platform/rpc/server.h"
#include "services/decoder/decoder_service.h"
#include "tests/unit/decoder/generate_client.h"
#include "tests/unit/decoder/small_decoder.h"

namespace conclave::decoder {

/// The decoder's service behind an in-process channel, with a small model.
class DecoderServiceTest : public ::testing::Test {
 protected:
  /// With this context an answer of kEndless tokens does not end while a test looks on.
  static constexpr uint32_t kLongContext = 1 << 20;
  static constexpr uint32_t kEndless = 1'000'000;

  void SetUp() override { Restart({}); }
  void TearDown() override { Stop(); }

  void Restart(DecoderLimits limits) {
    Stop();
    limits.queued_tokens = int64_t{10} * kEndless;
    const std::string model = SmallLlama(MatrixType::kQ8_0, kLongContext).Bytes();
    decoder_ = std::make_unique<SmallDecoder>(limits, model, 4 * kLongContext / engine::kKvBlockTokens);
    scheduler_ = actors_.get().spawn<SchedulerActor, caf::detached>(decoder_->scheduler, decoder_->runner);
    v1::StatusResponse description;
    description.mutable_model()->set_name("small");
    description.set_context_length(kLongContext);
    service_ = std::make_unique<DecoderService>(scheduler_, description);
    auto server = platform::Server::Start({}, {{v1::DecoderService::service_full_name(), service_.get()}});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = *std::move(server);
    stub_ = v1::DecoderService::NewStub(server_->InProcessChannel());
  }

  void Stop() {
    stub_.reset();
    if (server_) server_->Shutdown(std::chrono::milliseconds(0));
    server_.reset();
    service_.reset();
    if (!scheduler_) return;
    caf::scoped_actor self{actors_.get()};
    self->send_exit(scheduler_, caf::exit_reason::user_shutdown);
    self->wait_for(scheduler_);
    scheduler_ = nullptr;
  }

  static v1::AdmitSequence Sequence(uint64_t id, const std::vector<int32_t>& prompt, uint32_t max_tokens) {
    v1::AdmitSequence sequence;
    sequence.set_sequence_id(id);
    sequence.mutable_prompt_token_ids()->Add(prompt.begin(), prompt.end());
    sequence.mutable_sampling()->set_max_tokens(max_tokens);
    sequence.mutable_sampling()->set_temperature(0.0);
    return sequence;
  }

  v1::StatusResponse Status() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    v1::StatusResponse response;
    const grpc::Status status = stub_->Status(&context, {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  /// Waits until no sequence runs or waits, for at most half a minute.
  bool BecomesIdle() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < deadline) {
      const v1::StatusResponse now = Status();
      if (now.running_sequences() + now.queued_sequences() == 0) return now.kv_bytes_used() == 0;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }

  /// Waits until so many sequences are paused, for at most half a minute.
  bool Pauses(uint32_t sequences) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < deadline) {
      if (Status().paused_sequences() == sequences) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }

  platform::ActorSystem actors_;
  std::unique_ptr<SmallDecoder> decoder_;
  caf::actor scheduler_;
  std::unique_ptr<DecoderService> service_;
  std::unique_ptr<platform::Server> server_;
  std::unique_ptr<v1::DecoderService::Stub> stub_;
};

}  // namespace conclave::decoder
