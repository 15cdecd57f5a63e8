#pragma once

#include <memory>

#include <grpcpp/grpcpp.h>

#include "conclave/v1/experts.grpc.pb.h"
#include "platform/exchange/message_channel.h"
#include "platform/rpc/client_call.h"
#include "services/decoder/expert_connection.h"

namespace conclave::decoder {

/// Frames through memory that a shard on the same machine shares with this process. An Attach stream tells
/// when the shard is gone.
class MemoryConnection final : public ExpertConnection {
 public:
  /// Shares memory with the shard. Errors: what the shard said where it cannot, UNIMPLEMENTED (it knows no
  /// Attach), DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED: frames can still go on a stream.
  static Result<std::unique_ptr<MemoryConnection>> Open(v1::ExpertsService::StubInterface& stub,
                                                        std::chrono::steady_clock::time_point deadline);
  ~MemoryConnection() override;

  Status Send(v1::ExchangeRequest& frame) override;
  Status Receive(v1::ExchangeResponse& answer, std::chrono::steady_clock::time_point deadline) override;

 private:
  using Stream = platform::ClientBidiStream<v1::AttachRequest, v1::AttachResponse>;
  struct State;

  explicit MemoryConnection(std::shared_ptr<State> state) : state_(std::move(state)) {}
  /// Why the channel is closed, where the shard said so.
  Status Explain(Status status) const;

  std::shared_ptr<State> state_;
  std::shared_ptr<Stream> stream_;
  platform::MessageChannel::Message scratch_;
};

}  // namespace conclave::decoder
