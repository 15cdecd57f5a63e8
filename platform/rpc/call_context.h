#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>

namespace conclave::platform {

inline constexpr char kRequestIdKey[] = "conclave-request-id";
inline constexpr char kTenantKey[] = "conclave-tenant";
inline constexpr char kDefaultTenant[] = "default";

/// What a handler may know of the call it serves: plain values that outlive the call.
struct CallContext {
  /// For logs and traces: the caller's metadata "conclave-request-id" when it is 1 to kMaxRequestIdBytes
  /// letters, digits,
  /// '-', '_' or '.', else a fresh random one.
  std::string request_id;
  /// "default", unless a trusted peer (the same process, or a Unix socket) said otherwise in
  /// "conclave-tenant".
  std::string tenant = kDefaultTenant;
  /// max() when the caller set none.
  std::chrono::system_clock::time_point deadline = std::chrono::system_clock::time_point::max();
  /// As gRPC writes it: "ipv4:127.0.0.1:40000", "unix:", "inproc".
  std::string peer;

  /// How long is left; zero when the deadline has passed, max() when there is none.
  std::chrono::milliseconds TimeLeft() const;
};

/// Reads the context of an incoming call.
CallContext CallContextOf(const grpc::ServerContextBase& context);

/// Whether the peer is this process or one that can open a socket file of this user.
bool IsTrustedPeer(const std::string& peer);

/// "No timeout of one's own" for ClientContextFor.
inline constexpr std::chrono::milliseconds kNoTimeout = std::chrono::milliseconds::max();

/// The context for a call made on behalf of `call`: the smaller of its deadline and now + `own_timeout`, with
/// its request id and tenant passed on.
std::unique_ptr<grpc::ClientContext> ClientContextFor(const CallContext& call,
                                                      std::chrono::milliseconds own_timeout);

}  // namespace conclave::platform
