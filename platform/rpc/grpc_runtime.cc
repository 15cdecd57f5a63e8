#include "platform/rpc/grpc_runtime.h"

#include <memory>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

namespace conclave::platform {
namespace {

/// A server that nobody can reach. Having a callback service, it holds on to the callback threads.
struct Anchor {
  Anchor() {
    grpc::ServerBuilder builder;
    builder.RegisterCallbackGenericService(&service);
    server = builder.BuildAndStart();
  }

  grpc::CallbackGenericService service;
  std::unique_ptr<grpc::Server> server;
};

}  // namespace

void KeepGrpcRunning() {
  static const Anchor* const anchor = new Anchor;  // never destroyed, on purpose
  (void)anchor;
}

}  // namespace conclave::platform
