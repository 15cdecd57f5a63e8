#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "engine/sampling/philox.h"
#include "engine/sampling/sampling_params.h"

namespace conclave::engine::testing {

/// Sampling as the parameters' documentation says it, in float64, whole distributions at a time and without
/// any short cut.
class PlainSampler {
 public:
  PlainSampler(SamplingParams params, std::vector<int32_t> prompt)
      : params_(std::move(params)), prompt_(std::move(prompt)) {}

  int32_t Next(const std::vector<float>& raw) {
    const auto probabilities = Distribution(raw);
    int32_t chosen = -1;
    double passed = 0.0;
    const double target = UniformAt(params_.seed, answer_.size());
    for (const auto& [token, probability] : probabilities) {
      passed += probability;
      chosen = token;
      if (passed > target) break;
    }
    answer_.push_back(chosen);
    return chosen;
  }

  /// Token ids with what is left of their probabilities, which add up to 1.
  std::map<int32_t, double> Distribution(const std::vector<float>& raw) const {
    std::vector<double> logits = Penalised(raw);
    const double best = *std::max_element(logits.begin(), logits.end());
    std::vector<std::pair<double, int32_t>>
        kept;  // Minus the probability, so that sorting puts the best first.
    for (size_t id = 0; id < logits.size(); ++id) {
      const double weight = params_.temperature == 0.0 ? (logits[id] == best ? 1.0 : 0.0)
                                                       : std::exp((logits[id] - best) / params_.temperature);
      if (weight > 0.0) kept.emplace_back(-weight, static_cast<int32_t>(id));
    }
    std::sort(kept.begin(), kept.end());
    if (params_.temperature == 0.0) kept.resize(1);
    if (params_.top_k > 0 && kept.size() > static_cast<size_t>(params_.top_k)) kept.resize(params_.top_k);
    KeepTopP(kept);
    std::map<int32_t, double> result;
    double total = 0.0;
    for (const auto& [weight, id] : kept) {
      if (weight > params_.min_p * kept.front().first) continue;
      result[id] = -weight;
      total -= weight;
    }
    for (auto& [id, probability] : result) probability /= total;
    return result;
  }

 private:
  std::vector<double> Penalised(const std::vector<float>& raw) const {
    std::vector<double> logits(raw.begin(), raw.end());
    for (size_t id = 0; id < logits.size(); ++id) {
      const auto token = static_cast<int32_t>(id);
      const auto said = static_cast<double>(std::count(answer_.begin(), answer_.end(), token));
      const bool in_prompt = std::find(prompt_.begin(), prompt_.end(), token) != prompt_.end();
      if (said > 0 || in_prompt) {
        logits[id] = logits[id] > 0 ? logits[id] / params_.repetition_penalty
                                    : logits[id] * params_.repetition_penalty;
      }
      if (said > 0) logits[id] -= params_.frequency_penalty * said + params_.presence_penalty;
    }
    for (const auto& [token, bias] : params_.logit_bias) {
      logits[token] = bias == -100.0 ? -std::numeric_limits<double>::infinity() : logits[token] + bias;
    }
    return logits;
  }

  /// The shortest run of the best tokens whose probability reaches P.
  void KeepTopP(std::vector<std::pair<double, int32_t>>& kept) const {
    double total = 0.0;
    for (const auto& [weight, id] : kept) total -= weight;
    double reached = 0.0;
    size_t count = 0;
    while (count < kept.size() && reached < params_.top_p * total) reached -= kept[count++].first;
    if (params_.top_p < 1.0) kept.resize(count);
  }

  SamplingParams params_;
  std::vector<int32_t> prompt_;
  std::vector<int32_t> answer_;
};

}  // namespace conclave::engine::testing
