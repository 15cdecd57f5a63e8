#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "platform/metrics/metrics.h"

namespace conclave::platform {

/// The process's HTTP face: GET /metrics (Prometheus text), /healthz (200 as long as the process lives),
/// /readyz (200, or 503 when `ready` says no). It runs on threads of its own.
class HttpServer {
 public:
  struct Options {
    /// "HOST:PORT"; port 0 takes any free one.
    std::string address;
    /// Allows addresses beyond loopback: HTTP has no TLS here.
    bool insecure = false;
    /// Both must outlive the server. `ready` is called from its threads.
    Metrics* metrics = nullptr;
    std::function<bool()> ready;
  };

  /// Listens. Errors: INVALID_ARGUMENT (a malformed address), FAILED_PRECONDITION (beyond loopback without
  /// `insecure`; a port in use, named).
  static Result<std::unique_ptr<HttpServer>> Start(Options options);

  /// Stops, and waits for the requests being answered.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;

  /// With the port that was chosen.
  const std::string& address() const;

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace conclave::platform
