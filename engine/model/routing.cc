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

/// Each by itself. False: some logit is no number.
bool Sigmoids(const float* logits, int64_t count, float* scores) {
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) {
    scores[i] = 1.0f / (1.0f + std::exp(-logits[i]));
    finite = finite && std::isfinite(logits[i]);
  }
  return finite;
}

/// What a group of `size` scores is ranked by.
float RankOf(GroupRank rank, const float* scores, int64_t size) {
  float best = scores[0];
  float second = -std::numeric_limits<float>::infinity();
  for (int64_t i = 1; i < size; ++i) {
    second = std::max(second, std::min(best, scores[i]));
    best = std::max(best, scores[i]);
  }
  return rank == GroupRank::kBest ? best : best + second;
}

/// Leaves the experts of groups that are not among the best ones no chance.
void DropGroups(const ExpertMixture& mixture, std::vector<float>& scores) {
  const int64_t size = mixture.experts / mixture.groups;
  std::vector<float> ranks(mixture.groups);
  std::vector<int64_t> order(mixture.groups);
  std::iota(order.begin(), order.end(), 0);
  for (int64_t group = 0; group < mixture.groups; ++group) {
    ranks[group] = RankOf(mixture.group_rank, scores.data() + group * size, size);
  }
  std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return ranks[a] > ranks[b]; });
  for (int64_t i = mixture.groups_used; i < mixture.groups; ++i) {
    std::fill_n(scores.begin() + order[i] * size, size, -std::numeric_limits<float>::infinity());
  }
}

/// What experts are chosen by, from their scores. False: something is no number.
bool Preferences(const ExpertMixture& mixture, const std::vector<float>& scores, const float* choice_bias,
                 std::vector<float>& preferences) {
  bool finite = true;
  for (int64_t i = 0; i < mixture.experts; ++i) {
    preferences[i] = scores[i] + (choice_bias == nullptr ? 0.0f : choice_bias[i]);
    finite = finite && std::isfinite(preferences[i]);
  }
  if (finite && mixture.groups_used < mixture.groups) DropGroups(mixture, preferences);
  return finite;
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
                   const float* shared_logits, Routing& routing, const float* choice_bias) {
  const int64_t k = mixture.per_token;
  std::vector<float> scores(mixture.experts), preferences(mixture.experts);
  const auto score = mixture.score == RouterScore::kSigmoid ? Sigmoids : Softmax;
  const auto scale = static_cast<float>(mixture.weight_scale);
  std::vector<int32_t> order(mixture.experts);
  for (int64_t token = begin; token < end; ++token) {
    if (mixture.shared_gate) {
      routing.shared_weight[token] = 1.0f / (1.0f + std::exp(-shared_logits[token]));
    }
    int32_t* chosen = routing.experts.data() + token * k;
    float* weights = routing.weights.data() + token * k;
    if (!score(logits + token * mixture.experts, mixture.experts, scores.data()) ||
        !Preferences(mixture, scores, choice_bias, preferences)) {
      std::iota(chosen, chosen + k, 0);
      std::fill_n(weights, k, std::numeric_limits<float>::quiet_NaN());
      continue;
    }
    if (mixture.unit_weights) {
      // By the logits themselves: a softmax makes zeros of all that are far below the highest.
      scores.assign(logits + token * mixture.experts, logits + (token + 1) * mixture.experts);
      ChooseBest(scores, order, chosen, k);
      std::fill_n(weights, k, 1.0f);
      continue;
    }
    ChooseBest(preferences, order, chosen, k);
    float sum = 0.0f;
    for (int64_t i = 0; i < k; ++i) sum += weights[i] = scores[chosen[i]];
    // Sigmoids may all be zero.
    if (mixture.score == RouterScore::kSigmoid) sum += 1e-20f;
    for (int64_t i = 0; i < k && mixture.renormalise; ++i) weights[i] /= sum;
    for (int64_t i = 0; i < k && scale != 1.0f; ++i) weights[i] *= scale;
  }
}

}  // namespace conclave::engine
