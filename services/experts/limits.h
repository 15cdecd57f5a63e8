#pragma once

#include <cstddef>
#include <cstdint>

#include "platform/exchange/limits.h"

namespace conclave::experts {

/// Tokens of one frame.
inline constexpr int64_t kMostFrameTokens = 4096;
/// Of the answer to one frame.
inline constexpr int64_t kMostOutputBytes = int64_t{512} << 20;
/// Multiplications of a frame that takes less than a millisecond: it is computed where it arrives.
inline constexpr int64_t kQuickMultiplications = int64_t{64} << 20;
/// Clients that share memory with a shard at once: each has a thread.
inline constexpr size_t kMostAttached = 64;
/// Of one client's memory.
inline constexpr size_t kMostAttachedBytes = 4 * platform::kRingBytes;
/// Of one frame that comes through memory.
inline constexpr size_t kMostRequestBytes = size_t{256} << 20;

}  // namespace conclave::experts
