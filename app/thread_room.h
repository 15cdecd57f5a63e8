#pragma once

#include "base/status.h"

namespace conclave::app {

/// What gRPC, CAF, RocksDB and the HTTP server start between them, rounded up.
inline constexpr int kLibraryThreads = 48;

/// Whether this process may have `count` more threads at once: starts them, and lets them end. The libraries
/// below end the process when they get none. Errors: RESOURCE_EXHAUSTED (a limit of the user, the container
/// or the address space).
Status CheckThreadRoom(int count);

}  // namespace conclave::app
