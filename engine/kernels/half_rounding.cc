#include "engine/kernels/half_rounding.h"

#include <bit>

namespace conclave::engine {
namespace {

/// value / 2^shift, ties to even.
uint32_t ShiftRounded(uint32_t value, uint32_t shift) {
  const uint32_t half = 1u << (shift - 1);
  const uint32_t odd = (value >> shift) & 1;
  return (value + half - 1 + odd) >> shift;
}

}  // namespace

uint16_t FloatToHalf(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  const uint32_t exponent = magnitude >> 23;
  uint32_t half;
  if (magnitude > 0x7F800000u) {
    half = 0x7E00u | (magnitude >> 13 & 0x3FFu);
  } else if (magnitude >= 0x477FF000u) {
    half = 0x7C00u;  // 65520 and above round to infinity
  } else if (exponent >= 113) {
    half = ShiftRounded(magnitude - (112u << 23), 13);
  } else if (exponent >= 102) {
    // A subnormal half: a multiple of 2^-24.
    half = ShiftRounded((magnitude & 0x7FFFFFu) | 0x800000u, 126 - exponent);
  } else {
    half = 0;
  }
  return static_cast<uint16_t>(sign | half);
}

uint16_t FloatToBrain(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}

}  // namespace conclave::engine
