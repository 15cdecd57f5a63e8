#pragma once

#include <caf/all.hpp>
#include <grpcpp/grpcpp.h>

#include "conclave/v1/experts.grpc.pb.h"
#include "services/experts/shard_actor.h"

namespace conclave::experts {

/// The gRPC face of a shard.
class ExpertsService final : public v1::ExpertsService::CallbackService {
 public:
  ExpertsService(caf::actor shard, v1::ExpertsServiceDescribeResponse description);

  grpc::ServerBidiReactor<v1::ExchangeRequest, v1::ExchangeResponse>* Exchange(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const v1::ExpertsServiceDescribeRequest* request,
                                     v1::ExpertsServiceDescribeResponse* response) override;

 private:
  caf::actor shard_;
  v1::ExpertsServiceDescribeResponse description_;
};

}  // namespace conclave::experts
