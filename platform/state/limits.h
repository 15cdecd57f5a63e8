#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave::platform {

inline constexpr size_t kMaxStateKeyBytes = 1024;
inline constexpr size_t kMaxStateValueBytes = 16u << 20;
inline constexpr size_t kMaxStateListEntries = 10'000;
/// Calls to Redis at once; more wait for one to end.
inline constexpr int kMaxRedisConnections = 4;
/// Ten years: anything longer is a mistake, and sums with the clock cannot overflow.
inline constexpr int64_t kMaxStateTtlMs = int64_t{10} * 366 * 24 * 3600 * 1000;

}  // namespace conclave::platform
