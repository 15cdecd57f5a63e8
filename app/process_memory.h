#pragma once

#include <cstdint>

#include <sys/types.h>

#include "base/result.h"

namespace conclave::app {

/// What a process keeps in the machine's memory. Bytes.
struct ProcessMemory {
  int64_t resident = 0;
  int64_t anonymous = 0;  ///< its own; the rest are pages of files (the program, libraries, the model)
  int64_t file() const { return resident - anonymous; }
};

/// Of a process of this user, from /proc/PID/smaps_rollup. Errors: NOT_FOUND (it ended), INTERNAL.
Result<ProcessMemory> MemoryOf(pid_t pid);

}  // namespace conclave::app
