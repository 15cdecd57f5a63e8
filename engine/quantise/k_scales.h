#pragma once

#include <array>
#include <cstdint>

namespace conclave::engine {

/// Groups of 32 in a block of Q4_K or Q5_K, and the largest of their 6-bit scales and minimums.
inline constexpr int kKGroups = 8;
inline constexpr int kKLargestScale = 63;

/// The 6-bit scales and minimums of a block of Q4_K or Q5_K.
struct KScales {
  std::array<uint8_t, kKGroups> scale{};
  std::array<uint8_t, kKGroups> minimum{};
};

/// Twelve bytes: the first four scales and minimums have bytes of their own, whose two upper bits hold those
/// of the last four (ggml-common.h, get_scale_min_k4).
void PackKScales(const KScales& scales, uint8_t* packed);
KScales UnpackKScales(const uint8_t* packed);

}  // namespace conclave::engine
