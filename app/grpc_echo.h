#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/channel.h>

#include "base/result.h"

namespace conclave::app {

/// What an echo client sends, and what it wants back.
struct EchoShape {
  size_t request_bytes = 0;
  size_t answer_bytes = 0;
  double pause_s = 0.0;  ///< that the server lets pass before it answers
};

/// A bare gRPC server on `address` that answers each message of a bidirectional stream as the message's first
/// bytes ask; serves until SIGTERM. What this program's exchange is measured
/// against. Prints the line {"addresses": [...]} when it is ready. Errors: UNAVAILABLE.
Status ServeEcho(const std::string& address);

/// A client of it, on one stream, that waits as the fastest clients do: its own thread polls the socket.
class EchoClient {
 public:
  explicit EchoClient(const std::shared_ptr<grpc::Channel>& channel);
  ~EchoClient();
  EchoClient(const EchoClient&) = delete;

  /// Of the shape of the first one. Errors: UNAVAILABLE.
  Status RoundTrip(const EchoShape& shape);

 private:
  struct Call;
  std::unique_ptr<Call> call_;
};

/// The same with gRPC's callback interface, which answers on threads of its own: seconds of each of `count`
/// round trips, back to back, without the server's pause. Errors: UNAVAILABLE.
Result<std::vector<double>> EchoOnCallbacks(const std::shared_ptr<grpc::Channel>& channel,
                                            const EchoShape& shape, int64_t count);

}  // namespace conclave::app
