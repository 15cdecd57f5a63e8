#include "engine/quantise/k_scales.h"

namespace conclave::engine {
namespace {

constexpr int kHalf = kKGroups / 2;

}  // namespace

void PackKScales(const KScales& scales, uint8_t* packed) {
  for (int group = 0; group < kHalf; ++group) {
    const int scale = scales.scale[group + kHalf];
    const int minimum = scales.minimum[group + kHalf];
    packed[group] = static_cast<uint8_t>(scales.scale[group] | (scale >> 4) << 6);
    packed[group + 4] = static_cast<uint8_t>(scales.minimum[group] | (minimum >> 4) << 6);
    packed[group + 8] = static_cast<uint8_t>((scale & 0x0F) | (minimum & 0x0F) << 4);
  }
}

KScales UnpackKScales(const uint8_t* packed) {
  KScales scales;
  for (int group = 0; group < kHalf; ++group) {
    scales.scale[group] = packed[group] & 0x3F;
    scales.minimum[group] = packed[group + 4] & 0x3F;
    scales.scale[group + kHalf] = static_cast<uint8_t>((packed[group + 8] & 0x0F) | packed[group] >> 6 << 4);
    scales.minimum[group + kHalf] =
        static_cast<uint8_t>(packed[group + 8] >> 4 | packed[group + 4] >> 6 << 4);
  }
  return scales;
}

}  // namespace conclave::engine
