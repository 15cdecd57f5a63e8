#pragma once

#include <string>

#include <grpcpp/server_context.h>

namespace conclave::platform {

/// How the server's interceptor tells the bridge that a call came while the server drains: an entry in the
/// call's received metadata. The interceptor removes what a client wrote there.
inline constexpr char kDrainingMark[] = "conclave-draining";

bool IsMarkedDraining(const grpc::ServerContextBase& context);

/// Whether the caller is this very process.
bool IsInProcessPeer(const std::string& peer);

}  // namespace conclave::platform
