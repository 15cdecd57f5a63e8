#include "engine/sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/sampling/arg_max.h"
#include "engine/sampling/philox.h"
#include "engine/sampling/weight_blocks.h"

namespace conclave::engine {

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

Sampler::Sampler(SamplingParams params, std::span<const int32_t> prompt) : params_(std::move(params)) {
  for (const int32_t token : prompt) ++prompt_[token];
}

Result<SampledToken> Sampler::Next(std::span<float> logits) { return Next(logits, Summarise(logits)); }

Result<SampledToken> Sampler::Next(std::span<float> logits, const LogitsSummary& summary) {
  const auto [best, log_sum] = summary;
  if (best < 0 || !std::isfinite(logits[best])) {
    return Internal("the model gave no finite logit; its weights are damaged");
  }
  SampledToken sampled;
  const bool plain = params_.repetition_penalty == 1.0 && params_.frequency_penalty == 0.0 &&
                     params_.presence_penalty == 0.0 && params_.logit_bias.empty();
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
    const int32_t likeliest = plain ? best : ArgMax(logits);
    sampled.token_id =
        params_.temperature == 0.0 || likeliest < 0 ? likeliest : Draw(logits, logits[likeliest]);
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

/// The candidates in id order, and none that a filter surely takes out.
void Sampler::FindCandidates(const WeightBlocks& weights, size_t vocabulary) {
  double least = 0.0;
  if (params_.top_k > 0) {
    least = weights.ReachedBy(params_.top_k);
  } else if (params_.top_p < 1.0) {
    // All those below this together do not reach 1 - top_p, so that the others reach top_p without them.
    least = (1.0 - params_.top_p) * weights.total() / static_cast<double>(vocabulary);
  } else {
    least = params_.min_p;  // The best one weighs 1.
  }
  candidates_.clear();
  weights.ForEachFrom(least, [this](int32_t id, float weight) { candidates_.push_back({id, weight}); });
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

/// `total`: of all weights that top-p is a share of.
void Sampler::KeepTopP(double total) {
  if (params_.top_p >= 1.0) return;
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

/// `max`: the highest logit.
int32_t Sampler::Draw(std::span<const float> logits, float max) {
  const WeightBlocks weights(logits, max, params_.temperature);
  const double random = UniformAt(params_.seed, draws_);
  const bool filtered = params_.top_k > 0 || params_.top_p < 1.0 || params_.min_p > 0.0;
  if (!filtered) return weights.At(random * weights.total());
  FindCandidates(weights, logits.size());
  KeepTopK();
  KeepTopP(params_.top_k > 0 ? TotalWeight() : weights.total());
  KeepMinP();
  auto earlier = [](const Candidate& a, const Candidate& b) { return a.token_id < b.token_id; };
  if (!std::is_sorted(candidates_.begin(), candidates_.end(), earlier)) {
    std::sort(candidates_.begin(), candidates_.end(), earlier);
  }
  const double target = random * TotalWeight();
  double passed = 0.0;
  for (const Candidate& candidate : candidates_) {
    passed += candidate.weight;
    if (passed > target) return candidate.token_id;
  }
  return candidates_.back().token_id;
}

}  // namespace conclave::engine
