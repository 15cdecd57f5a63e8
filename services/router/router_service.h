#pragma once

#include <atomic>
#include <memory>

#include <caf/all.hpp>
#include <grpcpp/grpcpp.h>

#include "conclave/v1/router.grpc.pb.h"
#include "platform/rpc/call_context.h"
#include "services/router/backends.h"
#include "services/router/request_plan.h"

namespace conclave::router {

/// The public gRPC face: one RequestActor for each request.
class RouterService final : public v1::RouterService::CallbackService {
 public:
  /// `most_open`: requests that may be open at once, waiting or running.
  RouterService(caf::actor_system& actors, std::shared_ptr<Backends> backends, caf::actor sessions,
                int64_t most_open);

  grpc::ServerWriteReactor<v1::ChatResponse>* Chat(grpc::CallbackServerContext* context,
                                                   const v1::ChatRequest* request) override;
  grpc::ServerWriteReactor<v1::CompleteResponse>* Complete(grpc::CallbackServerContext* context,
                                                           const v1::CompleteRequest* request) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* GetSession(grpc::CallbackServerContext* context,
                                       const v1::GetSessionRequest* request,
                                       v1::GetSessionResponse* response) override;
  grpc::ServerUnaryReactor* DeleteSession(grpc::CallbackServerContext* context,
                                          const v1::DeleteSessionRequest* request,
                                          v1::DeleteSessionResponse* response) override;

  void StartDrain() { draining_ = true; }
  bool Drained() const { return *open_requests_ == 0; }

 private:
  template <typename Response>
  grpc::ServerWriteReactor<Response>* Answer(grpc::CallbackServerContext* context, Result<RequestPlan> plan);

  caf::actor_system& actors_;
  std::shared_ptr<Backends> backends_;
  caf::actor sessions_;
  int64_t most_open_;
  std::shared_ptr<std::atomic<int64_t>> open_requests_ = std::make_shared<std::atomic<int64_t>>(0);
  std::atomic<bool> draining_ = false;
};

}  // namespace conclave::router
