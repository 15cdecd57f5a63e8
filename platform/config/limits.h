#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave::platform {

inline constexpr size_t kMaxConfigBytes = 1u << 20;
inline constexpr size_t kMaxProcesses = 4096;
inline constexpr size_t kMaxProcessNameBytes = 64;
/// Experts of a layer, the shared one included.
inline constexpr int64_t kMaxExpertSlices = 4097;
inline constexpr size_t kMaxPathBytes = 4096;

}  // namespace conclave::platform
