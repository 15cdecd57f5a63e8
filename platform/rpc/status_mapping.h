#pragma once

#include <string>

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "base/status.h"

namespace conclave::platform {

/// The trailing metadata that says how many milliseconds to wait before a retry (gRPC proposal A6).
inline constexpr char kRetryPushbackKey[] = "grpc-retry-pushback-ms";

/// The one place where a Status becomes a gRPC status. The message is made valid UTF-8 and at most
/// kMaxStatusMessageBytes long. The retry hint is not in it: see AddRetryHint.
grpc::Status ToGrpcStatus(const Status& status);

/// Puts the status's retry hint, if it has one, into the call's trailing metadata. Before Finish only.
void AddRetryHint(const Status& status, grpc::ServerContextBase* context);

/// The one place where a gRPC status becomes a Status. With the context of a call that is over, the retry
/// hint too.
Status FromGrpcStatus(const grpc::Status& status, const grpc::ClientContext* context = nullptr);

/// A failure of a service that was called on somebody's behalf. What the caller did wrong is left in the
/// service's own words; what broke (UNAVAILABLE, INTERNAL, UNKNOWN) gets "the `service` service: " in front.
Status NameIfBroken(const Status& status, const std::string& service);

}  // namespace conclave::platform
