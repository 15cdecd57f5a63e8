#pragma once

#include <cstdint>
#include <memory>

#include <grpcpp/grpcpp.h>

#include "conclave/v1/experts.grpc.pb.h"
#include "platform/exchange/patience.h"
#include "platform/rpc/client_call.h"
#include "services/decoder/expert_connection.h"

namespace conclave::decoder {

/// Frames on a gRPC stream.
class StreamConnection final : public ExpertConnection {
 public:
  explicit StreamConnection(v1::ExpertsService::StubInterface& stub);

  Status Send(v1::ExchangeRequest& frame) override;
  Status Receive(v1::ExchangeResponse& answer, std::chrono::steady_clock::time_point deadline) override;

 private:
  using Stream = platform::ClientBidiStream<v1::ExchangeRequest, v1::ExchangeResponse>;
  struct Inbox;

  std::shared_ptr<Inbox> inbox_;
  std::shared_ptr<Stream> stream_;
  platform::Patience patience_;
};

}  // namespace conclave::decoder
