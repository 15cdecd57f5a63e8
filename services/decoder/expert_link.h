#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "base/result.h"
#include "conclave/v1/experts.grpc.pb.h"
#include "platform/rpc/client_call.h"

namespace conclave::decoder {

/// One shard in another process: its description, and its Exchange stream, opened when first needed and again
/// after it broke. Send and Receive are called by one thread.
class ExpertLink {
 public:
  ExpertLink(std::shared_ptr<grpc::Channel> channel, std::string address);

  const std::string& address() const { return address_; }

  /// Asks which model and slices live there; waits until the shard can be reached.
  /// Errors: UNAVAILABLE or DEADLINE_EXCEEDED, naming the address.
  Result<v1::ExpertsServiceDescribeResponse> Describe(std::chrono::system_clock::time_point deadline);

  /// Sends one layer's input. Errors: UNAVAILABLE.
  Status Send(const v1::ExchangeRequest& request);

  /// The answer to the request that was sent last.
  /// Errors: UNAVAILABLE (the stream broke), DEADLINE_EXCEEDED, or what the shard said.
  Result<v1::ExchangeResponse> Receive(std::chrono::system_clock::time_point deadline);

  /// Forgets the stream, so that the next Send opens a new one.
  void Reset();

 private:
  using Stream = platform::ClientBidiStream<v1::ExchangeRequest, v1::ExchangeResponse>;
  /// What one stream's callbacks share with the caller; a late callback of an old stream finds only its own
  /// inbox.
  struct Inbox {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<v1::ExchangeResponse> response;  // guarded by mutex
    std::optional<Status> done;                    // guarded by mutex
  };

  void Open();

  std::string address_;
  std::unique_ptr<v1::ExpertsService::StubInterface> stub_;
  std::shared_ptr<Stream> stream_;
  std::shared_ptr<Inbox> inbox_;
  uint64_t next_frame_ = 0;
};

}  // namespace conclave::decoder
