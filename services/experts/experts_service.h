#pragma once

#include <memory>

#include <caf/all.hpp>
#include <grpcpp/grpcpp.h>

#include "conclave/v1/experts.grpc.pb.h"
#include "services/experts/memory_exchange.h"
#include "services/experts/shard_actor.h"

namespace conclave::experts {

/// The gRPC face of a shard.
class ExpertsService final : public v1::ExpertsService::CallbackService {
 public:
  ExpertsService(caf::actor shard, std::shared_ptr<FrameComputer> computer,
                 v1::ExpertsServiceDescribeResponse description);

  grpc::ServerBidiReactor<v1::ExchangeRequest, v1::ExchangeResponse>* Exchange(
      grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* Attach(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const v1::ExpertsServiceDescribeRequest* request,
                                     v1::ExpertsServiceDescribeResponse* response) override;

 private:
  caf::actor shard_;
  std::shared_ptr<FrameComputer> computer_;
  MemoryExchange memory_;
  v1::ExpertsServiceDescribeResponse description_;
};

}  // namespace conclave::experts
