#pragma once

#include <string>

#include <grpcpp/server_context.h>

namespace conclave::platform {

/// How the server's interceptor tells the bridge that a call came while the server drains, or that its method
/// is for trusted callers only: entries in the call's received metadata. The interceptor removes what a
/// client wrote there.
inline constexpr char kDrainingMark[] = "conclave-draining";
inline constexpr char kInternalMark[] = "conclave-internal";

bool IsMarked(const grpc::ServerContextBase& context, const char* mark);

/// Whether the caller is this very process.
bool IsInProcessPeer(const std::string& peer);

}  // namespace conclave::platform
