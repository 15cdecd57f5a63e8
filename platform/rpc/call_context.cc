#include "platform/rpc/call_context.h"

#include <algorithm>
#include <string_view>

#include "platform/identity.h"
#include "platform/rpc/call_marks.h"
#include "platform/rpc/limits.h"

namespace conclave::platform {
namespace {

using Clock = std::chrono::system_clock;

constexpr char kInProcessPeer[] = "inproc";

std::string_view MetadataOf(const grpc::ServerContextBase& context, const char* key) {
  const auto entry = context.client_metadata().find(key);
  if (entry == context.client_metadata().end()) return {};
  return {entry->second.data(), entry->second.size()};
}

}  // namespace

std::chrono::milliseconds CallContext::TimeLeft() const {
  if (deadline == Clock::time_point::max()) return std::chrono::milliseconds::max();
  return std::max(std::chrono::milliseconds(0),
                  std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()));
}

// gRPC's in-process transport reports no peer, which ServerContext::peer() gives as "unknown"; every socket
// has one before a handler runs.
bool IsInProcessPeer(const std::string& peer) { return peer == kInProcessPeer || peer == "unknown"; }

bool IsTrustedPeer(const std::string& peer) { return IsInProcessPeer(peer) || peer.starts_with("unix:"); }

bool IsMarked(const grpc::ServerContextBase& context, const char* mark) {
  return context.client_metadata().find(mark) != context.client_metadata().end();
}

CallContext CallContextOf(const grpc::ServerContextBase& context) {
  CallContext call;
  call.peer = context.peer();
  if (IsInProcessPeer(call.peer)) call.peer = kInProcessPeer;
  call.deadline = context.deadline();
  const std::string_view request_id = MetadataOf(context, kRequestIdKey);
  call.request_id = IsIdentifier(request_id, kMaxRequestIdBytes) ? std::string(request_id) : RandomId();
  const std::string_view tenant = MetadataOf(context, kTenantKey);
  if (IsTrustedPeer(call.peer) && IsIdentifier(tenant, kMaxTenantBytes)) call.tenant = tenant;
  return call;
}

std::unique_ptr<grpc::ClientContext> ClientContextFor(const CallContext& call,
                                                      std::chrono::milliseconds own_timeout) {
  auto context = std::make_unique<grpc::ClientContext>();
  Clock::time_point deadline = call.deadline;
  const auto now = Clock::now();
  const auto longest = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::time_point::max() - now);
  if (own_timeout < longest) deadline = std::min(deadline, now + own_timeout);
  if (deadline != Clock::time_point::max()) context->set_deadline(deadline);
  if (IsIdentifier(call.request_id, kMaxRequestIdBytes)) context->AddMetadata(kRequestIdKey, call.request_id);
  if (IsIdentifier(call.tenant, kMaxTenantBytes)) context->AddMetadata(kTenantKey, call.tenant);
  return context;
}

}  // namespace conclave::platform
