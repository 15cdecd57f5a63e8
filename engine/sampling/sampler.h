#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "engine/sampling/logits_summary.h"
#include "engine/sampling/sampling_params.h"

namespace conclave::engine {

class WeightBlocks;

struct TokenLogprob {
  int32_t token_id = 0;
  float logprob = 0.0f;
};

struct SampledToken {
  int32_t token_id = 0;
  /// Natural-log probability under the model's own distribution: before penalties, bias, temperature and
  /// filters.
  float logprob = 0.0f;
  /// The most likely tokens under that distribution, best first; as many as SamplingParams.logprobs.
  std::vector<TokenLogprob> top;
};

/// Chooses the tokens of one sequence. In this order, as `transformers` does: repetition, frequency and
/// presence penalties, logit bias, temperature, top-k, top-p, min-p, then one draw. Ties go to the lower id.
/// The random number of the i-th token depends on the seed and i alone. Used by one thread at a time.
class Sampler {
 public:
  /// `params` were validated.
  Sampler(SamplingParams params, std::span<const int32_t> prompt);

  /// Chooses the next token and counts it as said. `logits` [vocabulary] is used as working space.
  /// Errors: INTERNAL when no logit is finite (the model's weights are broken).
  Result<SampledToken> Next(std::span<float> logits);
  /// The same; `summary` is that of `logits`.
  Result<SampledToken> Next(std::span<float> logits, const LogitsSummary& summary);

 private:
  struct Candidate {
    int32_t token_id;
    double weight;  ///< Probability, not normalised.
  };

  void ApplyPenalties(std::span<float> logits) const;
  int32_t Draw(std::span<const float> logits, float max);
  void FindCandidates(const WeightBlocks& weights, size_t vocabulary);
  double TotalWeight() const;
  void KeepTopK();
  void KeepTopP(double total);
  void KeepMinP();

  SamplingParams params_;
  std::unordered_map<int32_t, int64_t> prompt_;  ///< tokens of the prompt (for the repetition penalty)
  std::unordered_map<int32_t, int64_t> said_;    ///< how often the answer holds a token
  uint64_t draws_ = 0;
  std::vector<Candidate> candidates_;
};

/// The `count` highest logits, best first, less `log_sum`; the lower id wins a tie, and NaN is left out.
std::vector<TokenLogprob> TopTokens(std::span<const float> logits, int64_t count, double log_sum);

}  // namespace conclave::engine
