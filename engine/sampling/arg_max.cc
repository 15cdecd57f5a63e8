#include "engine/sampling/arg_max.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

namespace conclave::engine {
namespace {

/// Below this share of the best one's probability, e^-40, tokens cannot move a sum in float64.
constexpr double kNegligibleLog = -40.0;

}  // namespace

int32_t ArgMax(std::span<const float> logits) {
  constexpr size_t kLanes = 16;  // So that many comparisons are made at a time; their order is of no account.
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  std::array<float, kLanes> highest;
  highest.fill(kLowest);
  size_t id = 0;
  for (; id + kLanes <= logits.size(); id += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      highest[lane] = logits[id + lane] > highest[lane] ? logits[id + lane] : highest[lane];
    }
  }
  float best = *std::max_element(highest.begin(), highest.end());
  for (; id < logits.size(); ++id) best = logits[id] > best ? logits[id] : best;
  if (best == kLowest) return -1;
  return static_cast<int32_t>(std::find(logits.begin(), logits.end(), best) - logits.begin());
}

double LogSumExp(std::span<const float> logits) {
  const int32_t best = ArgMax(logits);
  if (best < 0) return -std::numeric_limits<double>::infinity();
  const double max = logits[best];
  double sum = 0.0;
  for (const float logit : logits) {
    if (logit - max > kNegligibleLog) sum += std::exp(logit - max);
  }
  return max + std::log(sum);
}

}  // namespace conclave::engine
