#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "base/result.h"
#include "conclave/v1/experts.grpc.pb.h"
#include "platform/config/config.h"
#include "services/decoder/expert_connection.h"

namespace conclave::decoder {

/// One shard in another process: its description, and its connection, opened when first needed and again
/// after it broke. Used by one thread.
class ExpertLink {
 public:
  ExpertLink(std::shared_ptr<grpc::Channel> channel, std::string address,
             platform::ExpertTransport transport = platform::ExpertTransport::kAuto);

  const std::string& address() const { return address_; }

  /// Asks which model and slices live there; waits until the shard can be reached.
  /// Errors: UNAVAILABLE or DEADLINE_EXCEEDED, naming the address.
  Result<v1::ExpertsServiceDescribeResponse> Describe(std::chrono::system_clock::time_point deadline);

  /// Sends a frame, whose number and checksum are filled in; several may be on their way at once.
  /// Errors: UNAVAILABLE.
  Status Send(v1::ExchangeRequest& frame);

  /// The answer to the first frame that has none yet; the room of the one that `answer` holds is used again.
  /// Errors: UNAVAILABLE (the connection broke), DEADLINE_EXCEEDED, DATA_LOSS (a wrong checksum), or what the
  /// shard said.
  Status Receive(v1::ExchangeResponse& answer, std::chrono::steady_clock::time_point deadline);

  /// Forgets the connection with all that is on its way, so that the next Send opens a new one.
  void Reset();

 private:
  /// The status with this shard's address before its message.
  Status Named(const Status& status) const;
  Status Open();
  Status CheckAnswer(const v1::ExchangeResponse& answer);

  const std::string address_;
  const platform::ExpertTransport transport_;
  std::unique_ptr<v1::ExpertsService::StubInterface> stub_;
  std::unique_ptr<ExpertConnection> connection_;
  uint64_t next_frame_ = 0;
  uint64_t next_answer_ = 0;
};

}  // namespace conclave::decoder
