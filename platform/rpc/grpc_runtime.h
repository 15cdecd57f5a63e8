#pragma once

namespace conclave::platform {

/// Keeps gRPC and its callback threads running from the first call on until the process ends. Without it they
/// stop when the last channel or server goes, and when that happens in a callback, a thread waits for itself
/// to end and gRPC aborts.
void KeepGrpcRunning();

}  // namespace conclave::platform
