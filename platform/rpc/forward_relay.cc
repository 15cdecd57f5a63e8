#include "platform/rpc/forward_relay.h"

#include "platform/rpc/limits.h"

namespace conclave::platform::detail {

Result<std::shared_ptr<ForwardedCall>> ForwardedCalls::Enter(bool configured) {
  if (!configured) {
    return Unimplemented("this installation has no " + service_ + " service: add \"" + service_ +
                         "\" to a process in the configuration (key processes[].services)");
  }
  ++open_;
  auto call = std::make_shared<ForwardedCall>(shared_from_this());
  if (open_ <= most_open_) return call;
  return ResourceExhausted(std::to_string(most_open_) + " calls to the " + service_ +
                           " service are under way, as many as may be; try again later")
      .WithRetryAfterMs(kBusyRetryMs);
}

Status CheckNamedTenant(const CallContext& call, const std::string& named) {
  if (named.empty() || named == call.tenant || IsTrustedPeer(call.peer)) return Status::Ok();
  return PermissionDenied("tenant is not the caller's: leave it out, or call through a Unix socket of the server");
}

}  // namespace conclave::platform::detail
