#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "engine/kernels/half_rounding.h"
#include "engine/tensor/half.h"

namespace conclave::engine {

/// The whole number nearest to `value`, ties to even, for |value| below 2^22: by arithmetic that compilers
/// vectorise for every processor.
inline float RoundSmall(float value) {
  constexpr float kShift = 0x1.8p23f;
  return (value + kShift) - kShift;
}

/// As RoundSmall, limited to [lowest, highest].
inline float RoundWithin(float value, float lowest, float highest) {
  value = value < lowest ? lowest : value;
  value = value > highest ? highest : value;
  return RoundSmall(value);
}

inline constexpr float kLargestHalf = 65504.0f;

/// The finite half precision number nearest to `value`, as its bits.
inline uint16_t ToFiniteHalf(float value) {
  return FloatToHalf(std::clamp(value, -kLargestHalf, kLargestHalf));
}

/// `value` as a scale stored in half precision gives it back.
inline float ThroughHalf(float value) { return HalfToFloat(ToFiniteHalf(value)); }

/// As ThroughHalf, but what is not zero stays so: the smallest magnitude is 2^-24.
inline float ScaleThroughHalf(float value) {
  const float half = ThroughHalf(value);
  if (half != 0.0f || value == 0.0f) return half;
  return value < 0.0f ? -0x1p-24f : 0x1p-24f;
}

/// 1 / value, and 0 for a value whose reciprocal is no finite float: such a scale rounds everything to 0.
inline float SafeInverse(float value) {
  const float inverse = 1.0f / value;
  return inverse >= -std::numeric_limits<float>::max() && inverse <= std::numeric_limits<float>::max()
             ? inverse
             : 0.0f;
}

}  // namespace conclave::engine
