#include "engine/sampling/softmax_weights.h"

namespace conclave::engine {

double LogSumOfWeights(std::span<const float> logits, float max) {
  constexpr size_t kLanes = 16;  // A single sum would wait for each addition.
  static_assert(kWeightsTogether % kLanes == 0);
  std::array<double, kLanes> sums{};
  SoftmaxWeights(logits, max, 1.0, [&](size_t, std::span<const float> weights) {
    size_t i = 0;
    for (; i + kLanes <= weights.size(); i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += weights[i + lane];
    }
    for (; i < weights.size(); ++i) sums[i % kLanes] += weights[i];
  });
  double sum = 0.0;
  for (const double lane : sums) sum += lane;
  return max + std::log(sum);
}

}  // namespace conclave::engine
