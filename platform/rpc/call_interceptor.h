#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <grpcpp/support/server_interceptor.h>

#include "platform/metrics/metrics.h"

namespace conclave::platform::detail {

/// What a server and the interceptors of its calls share.
struct CallMonitor {
  std::atomic<bool> draining{false};
  /// Unary calls and server streams under way, health and reflection not counted.
  std::atomic<size_t> running_calls{0};
  Metrics* metrics = nullptr;
  /// ServerOptions::internal_methods.
  std::vector<std::string> internal_methods;
  /// ServerOptions::unwatched_methods.
  std::vector<std::string> unwatched_methods;

  bool IsInternal(std::string_view method) const;
  bool IsWatched(std::string_view method) const;
};

/// Makes one interceptor a call: it gives the call a request id, marks it while the server drains or when its
/// method is internal, and at its end counts, times and logs it.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeCallInterceptorFactory(
    std::shared_ptr<CallMonitor> monitor);

}  // namespace conclave::platform::detail
