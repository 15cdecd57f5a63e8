#include "engine/sampling/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/sampling/philox.h"
#include "engine/sampling/softmax_weights.h"

namespace conclave::engine {
namespace {

/// Below this share of the best one's probability, e^-40, tokens cannot move a sum in float64; they are not
/// candidates.
constexpr double kNegligibleLog = -40.0;
constexpr float kNegligible = 4.248354e-18f;

std::vector<TokenLogprob> TopTokens(std::span<const float> logits, int64_t count, double log_sum) {
  std::vector<TokenLogprob> top;
  auto better = [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.logprob > b.logprob || (a.logprob == b.logprob && a.token_id < b.token_id);
  };
  if (count == 0) return top;
  for (size_t id = 0; id < logits.size(); ++id) {
    const TokenLogprob entry{static_cast<int32_t>(id), logits[id]};
    if (std::isnan(entry.logprob)) continue;
    if (static_cast<int64_t>(top.size()) == count && !better(entry, top.back())) continue;
    top.insert(std::upper_bound(top.begin(), top.end(), entry, better), entry);
    if (static_cast<int64_t>(top.size()) > count) top.pop_back();
  }
  for (TokenLogprob& entry : top) entry.logprob = static_cast<float>(entry.logprob - log_sum);
  return top;
}

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

Sampler::Sampler(SamplingParams params, std::span<const int32_t> prompt) : params_(std::move(params)) {
  for (const int32_t token : prompt) ++prompt_[token];
}

Result<SampledToken> Sampler::Next(std::span<float> logits) {
  const int32_t best = ArgMax(logits);
  if (best < 0 || !std::isfinite(logits[best])) {
    return Internal("the model gave no finite logit; its weights are damaged");
  }
  SampledToken sampled;
  const bool plain = params_.repetition_penalty == 1.0 && params_.frequency_penalty == 0.0 &&
                     params_.presence_penalty == 0.0 && params_.logit_bias.empty();
  const double log_sum = LogSumOfWeights(logits, logits[best]);
  if (params_.logprobs.has_value()) sampled.top = TopTokens(logits, *params_.logprobs, log_sum);
  if (plain && params_.temperature == 0.0) {
    sampled.token_id = best;
    sampled.logprob = static_cast<float>(logits[best] - log_sum);
  } else {
    std::unordered_map<int32_t, float> raw;
    if (!plain) {
      for (const auto* counts : {&prompt_, &said_}) {
        for (const auto& [token, count] : *counts) raw.emplace(token, logits[token]);
      }
      for (const auto& [token, bias] : params_.logit_bias) raw.emplace(token, logits[token]);
      ApplyPenalties(logits);
    }
    sampled.token_id = params_.temperature == 0.0 ? ArgMax(logits) : Draw(logits);
    if (sampled.token_id < 0) return Internal("penalties and bias left no token to choose");
    const auto changed = raw.find(sampled.token_id);
    const float own = changed == raw.end() ? logits[sampled.token_id] : changed->second;
    sampled.logprob = static_cast<float>(own - log_sum);
  }
  ++said_[sampled.token_id];
  ++draws_;
  return sampled;
}

void Sampler::ApplyPenalties(std::span<float> logits) const {
  if (params_.repetition_penalty != 1.0) {
    auto penalise = [&](int32_t token) {
      float& logit = logits[token];
      const auto penalty = static_cast<float>(params_.repetition_penalty);
      logit = logit > 0.0f ? logit / penalty : logit * penalty;
    };
    for (const auto& [token, count] : prompt_) penalise(token);
    for (const auto& [token, count] : said_) {
      if (!prompt_.contains(token)) penalise(token);
    }
  }
  for (const auto& [token, count] : said_) {
    logits[token] -=
        static_cast<float>(params_.frequency_penalty * static_cast<double>(count) + params_.presence_penalty);
  }
  for (const auto& [token, bias] : params_.logit_bias) {
    logits[token] =
        bias <= -100.0 ? -std::numeric_limits<float>::infinity() : logits[token] + static_cast<float>(bias);
  }
}

/// Fills candidates_ in id order.
void Sampler::Weigh(std::span<const float> logits) {
  candidates_.clear();
  const int32_t best = ArgMax(logits);
  if (best < 0) return;
  SoftmaxWeights(logits, logits[best], params_.temperature,
                 [&](size_t first, std::span<const float> weights) {
                   for (size_t i = 0; i < weights.size(); ++i) {
                     if (weights[i] > kNegligible)
                       candidates_.push_back({static_cast<int32_t>(first + i), weights[i]});
                   }
                 });
}

void Sampler::KeepTopK() {
  const auto k = static_cast<size_t>(params_.top_k);
  if (k == 0 || k >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<int64_t>(k) - 1, candidates_.end(),
                   [](const Candidate& a, const Candidate& b) {
                     return a.weight > b.weight || (a.weight == b.weight && a.token_id < b.token_id);
                   });
  candidates_.resize(k);
}

double Sampler::TotalWeight() const {
  double total = 0.0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  return total;
}

void Sampler::KeepTopP() {
  if (params_.top_p >= 1.0) return;
  const double total = TotalWeight();
  // All those below this together do not reach 1 - top_p, so that the others reach top_p without them.
  const double least = (1.0 - params_.top_p) * total / static_cast<double>(candidates_.size());
  std::erase_if(candidates_, [least](const Candidate& candidate) { return candidate.weight < least; });
  auto worse = [](const Candidate& a, const Candidate& b) {
    return a.weight < b.weight || (a.weight == b.weight && a.token_id > b.token_id);
  };
  std::make_heap(candidates_.begin(), candidates_.end(), worse);
  double kept = 0.0;
  auto end = candidates_.end();
  while (end != candidates_.begin() && !(kept >= params_.top_p * total)) {
    std::pop_heap(candidates_.begin(), end, worse);
    --end;
    kept += end->weight;
  }
  candidates_.erase(candidates_.begin(), end);
}

void Sampler::KeepMinP() {
  if (params_.min_p <= 0.0) return;
  double best = 0.0;
  for (const Candidate& candidate : candidates_) best = std::max(best, candidate.weight);
  std::erase_if(candidates_,
                [&](const Candidate& candidate) { return candidate.weight < params_.min_p * best; });
}

int32_t Sampler::Draw(std::span<const float> logits) {
  Weigh(logits);
  if (candidates_.empty()) return -1;
  KeepTopK();
  KeepTopP();
  KeepMinP();
  auto earlier = [](const Candidate& a, const Candidate& b) { return a.token_id < b.token_id; };
  if (!std::is_sorted(candidates_.begin(), candidates_.end(), earlier)) {
    std::sort(candidates_.begin(), candidates_.end(), earlier);
  }
  const double target = UniformAt(params_.seed, draws_) * TotalWeight();
  double passed = 0.0;
  for (const Candidate& candidate : candidates_) {
    passed += candidate.weight;
    if (passed > target) return candidate.token_id;
  }
  return candidates_.back().token_id;
}

}  // namespace conclave::engine
