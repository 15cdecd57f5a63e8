#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/server.h>

#include "base/result.h"
#include "platform/config/config.h"
#include "platform/metrics/metrics.h"
#include "platform/rpc/limits.h"

namespace conclave::platform {

/// A service and its full name in the proto ("conclave.v1.TokenizerService"). Not owned. Without a name it is
/// served, and health knows nothing of it.
struct NamedService {
  std::string proto_name;
  grpc::Service* service = nullptr;
};

struct ServerOptions {
  /// "unix:PATH" or "HOST:PORT"; port 0 takes any free one. Empty: in-process only.
  std::vector<std::string> addresses;
  TlsConfig tls;
  /// Allows TCP addresses beyond loopback without TLS.
  bool insecure = false;
  size_t max_message_bytes = kDefaultMaxMessageBytes;
  /// Paths of methods, or how they begin ("/conclave.v1.ExpertsService/"), that only this process and callers
  /// through a Unix socket may call; others get PERMISSION_DENIED.
  std::vector<std::string> internal_methods = {};
  /// Paths of methods, none of them internal, whose calls are neither counted nor logged nor refused while
  /// the server drains: gRPC hands each message of a watched call from thread to thread once more.
  std::vector<std::string> unwatched_methods = {};
  /// Counts and times every call; must outlive the server. May be null.
  Metrics* metrics = nullptr;
};

/// A gRPC server with health, reflection, metrics and a log line for every failed call. Any thread may call.
class Server {
 public:
  /// Listens. Every service reports NOT_SERVING until SetServing.
  /// Errors: INVALID_ARGUMENT (an address that is malformed), FAILED_PRECONDITION (an address beyond loopback
  /// without TLS; a port or socket that another process uses, named; a TLS file that cannot be read).
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                               std::vector<NamedService> services);

  /// Shuts down with no grace if Shutdown was not called.
  ~Server();
  Server(const Server&) = delete;

  /// A channel that reaches this server without a socket. It may be used as long as the server lives.
  std::shared_ptr<grpc::Channel> InProcessChannel();

  /// The addresses listened on, with the ports that were chosen.
  const std::vector<std::string>& addresses() const;

  /// What the health service says of one service; and, when all serve, of the server as a whole ("").
  void SetServing(const std::string& proto_name, bool serving);

  /// Health says NOT_SERVING, and new calls get UNAVAILABLE with a retry hint, except those from this
  /// process.
  void StartDrain();

  /// Unary calls and server streams that are running, health's own not counted. Bidirectional streams are
  /// their services' business: they may stay open while idle.
  size_t RunningCalls() const;

  /// StartDrain, then waits until RunningCalls() is 0 and `drained` (may be empty) says true, for at most
  /// `timeout`. Returns whether that came about.
  bool Drain(std::chrono::milliseconds timeout, const std::function<bool()>& drained);

  /// Ends all calls that still run (their handlers see OnCancel) after `grace`, and waits for the last
  /// reactor to be done.
  void Shutdown(std::chrono::milliseconds grace);

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace conclave::platform
