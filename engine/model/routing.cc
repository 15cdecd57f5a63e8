#include "engine/model/routing.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace conclave::engine {
namespace {

/// In float32, as the models were trained. False: some logit is no number.
bool Softmax(const float* logits, int64_t count, float* scores) {
  float highest = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < count; ++i) highest = std::max(highest, logits[i]);
  float sum = 0.0f;
  for (int64_t i = 0; i < count; ++i) {
    scores[i] = std::exp(logits[i] - highest);
    sum += scores[i];
  }
  for (int64_t i = 0; i < count; ++i) scores[i] /= sum;
  return std::isfinite(sum);
}

/// The `chosen.size()` best by score, ascending by number.
void ChooseBest(const std::vector<float>& scores, std::vector<int32_t>& order, int32_t* chosen,
                int64_t count) {
  std::iota(order.begin(), order.end(), 0);
  const auto better = [&](int32_t a, int32_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + count, order.end(), better);
  std::copy_n(order.begin(), count, chosen);
  std::sort(chosen, chosen + count);
}

}  // namespace

void Routing::Resize(const ExpertMixture& mixture, int64_t tokens) {
  per_token = mixture.per_token;
  experts.resize(tokens * per_token);
  weights.resize(tokens * per_token);
  shared_weight.resize(mixture.shared_gate ? tokens : 0);
}

void ChooseExperts(const ExpertMixture& mixture, int64_t begin, int64_t end, const float* logits,
                   const float* shared_logits, Routing& routing) {
  const int64_t k = mixture.per_token;
  std::vector<float> scores(mixture.experts);
  std::vector<int32_t> order(mixture.experts);
  for (int64_t token = begin; token < end; ++token) {
    if (mixture.shared_gate) {
      routing.shared_weight[token] = 1.0f / (1.0f + std::exp(-shared_logits[token]));
    }
    int32_t* chosen = routing.experts.data() + token * k;
    float* weights = routing.weights.data() + token * k;
    if (!Softmax(logits + token * mixture.experts, mixture.experts, scores.data())) {
      std::iota(chosen, chosen + k, 0);
      std::fill_n(weights, k, std::numeric_limits<float>::quiet_NaN());
      continue;
    }
    ChooseBest(scores, order, chosen, k);
    float sum = 0.0f;
    for (int64_t i = 0; i < k; ++i) sum += weights[i] = scores[chosen[i]];
    for (int64_t i = 0; i < k && mixture.renormalise; ++i) weights[i] /= sum;
  }
}

}  // namespace conclave::engine
