#include "platform/rpc/server_call.h"

#include <exception>

#include "platform/log/log.h"
#include "platform/rpc/call_context.h"
#include "platform/rpc/call_marks.h"

namespace conclave::platform::detail {

Status HandlerThrew() {
  std::string what = "not a std::exception";
  try {
    throw;
  } catch (const std::exception& exception) {
    what = exception.what();
  } catch (...) {
  }
  LogError("rpc", "a handler threw", {{"what", what}});
  return Internal("the server failed at this call; its log says why");
}

Status DroppedCall() { return Internal("the server gave this call up without an answer"); }

std::optional<Status> RefusalOf(const grpc::ServerContextBase& context) {
  if (IsMarked(context, kInternalMark) && !IsTrustedPeer(context.peer())) {
    return PermissionDenied(
        "this method is internal: at this address only the services themselves may call it");
  }
  if (!IsMarked(context, kDrainingMark) || IsInProcessPeer(context.peer())) return std::nullopt;
  return Unavailable("the server is shutting down; try again, or another server")
      .WithRetryAfterMs(kDrainRetryMs);
}

}  // namespace conclave::platform::detail
