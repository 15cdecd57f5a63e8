#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"

namespace conclave::engine::testing {

/// How far apart two numbers may be: an absolute and a relative part.
struct Tolerance {
  double absolute = 0.0;
  double relative = 0.0;
};

/// Whether `got` is as good as `wanted`: NaN for NaN, the same infinity, or within the tolerance. A NaN on
/// one side only never passes.
inline bool IsClose(float got, float wanted, const Tolerance& tolerance) {
  if (std::isnan(wanted)) return std::isnan(got);
  if (std::isinf(wanted)) return got == wanted;
  const double allowed = tolerance.absolute + tolerance.relative * std::fabs(static_cast<double>(wanted));
  return std::fabs(static_cast<double>(got) - wanted) <= allowed;
}

inline ::testing::AssertionResult AllClose(const std::vector<float>& got, const std::vector<float>& wanted,
                                           const Tolerance& tolerance) {
  if (got.size() != wanted.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < got.size(); ++i) {
    if (!IsClose(got[i], wanted[i], tolerance)) {
      return ::testing::AssertionFailure() << "at " << i << ": got " << got[i] << ", wanted " << wanted[i];
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace conclave::engine::testing
