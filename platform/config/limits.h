#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave::platform {

inline constexpr size_t kMaxConfigBytes = 1u << 20;
inline constexpr size_t kMaxProcesses = 4096;
inline constexpr size_t kMaxProcessNameBytes = 64;
inline constexpr int64_t kMaxExpertSlices = 1024;
inline constexpr size_t kMaxPathBytes = 4096;

}  // namespace conclave::platform
