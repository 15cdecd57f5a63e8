#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace conclave::engine::testing {

/// Normally distributed around 3.
inline std::vector<float> RandomLogits(size_t size, float spread, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(3.0f, spread);
  std::vector<float> logits(size);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

}  // namespace conclave::engine::testing
