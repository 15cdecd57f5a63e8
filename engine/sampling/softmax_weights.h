#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "engine/kernels/kernels.h"

namespace conclave::engine {

/// Numbers that SoftmaxWeights computes together.
inline constexpr size_t kWeightsTogether = 512;

/// The sum of many numbers in float64, in 16 lanes, since a single sum would wait for each addition. Its
/// order depends on how many numbers there are alone, as long as all parts but the last are whole lanes.
class LaneSum {
 public:
  static constexpr size_t kLanes = 16;

  void Add(std::span<const float> numbers) {
    size_t i = 0;
    for (; i + kLanes <= numbers.size(); i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) lanes_[lane] += numbers[i + lane];
    }
    for (; i < numbers.size(); ++i) lanes_[i % kLanes] += numbers[i];
  }

  double Total() const {
    double total = 0.0;
    for (const double lane : lanes_) total += lane;
    return total;
  }

 private:
  std::array<double, kLanes> lanes_{};
};

/// Calls take(first, weights) for all parts of `logits` in order, where weights[i] belongs to logits[first +
/// i] and is e^((logit - max) / temperature) in float32, some units in the last place off; 0 for NaN. `max`
/// is the highest logit, finite; temperature > 0.
template <typename Take>
void SoftmaxWeights(std::span<const float> logits, float max, double temperature, Take take) {
  const auto divisor = std::max(static_cast<float>(temperature), std::numeric_limits<float>::min());
  std::array<float, kWeightsTogether> weights;
  for (size_t first = 0; first < logits.size(); first += kWeightsTogether) {
    const std::span<const float> part =
        logits.subspan(first, std::min(kWeightsTogether, logits.size() - first));
    for (size_t i = 0; i < part.size(); ++i) {
      // Divided, because the inverse of a temperature near 0 is infinite.
      const float exponent = (part[i] - max) / divisor;
      weights[i] = exponent <= 0.0f ? exponent : -std::numeric_limits<float>::infinity();
    }
    BestKernels().exp(weights.data(), static_cast<int64_t>(part.size()), weights.data());
    take(first, std::span<const float>(weights.data(), part.size()));
  }
}

}  // namespace conclave::engine
