#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/result.h"

namespace conclave::engine {

inline constexpr int64_t kMostLogprobs = 20;
inline constexpr size_t kMostLogitBiases = 1024;

/// How the next token is chosen; the defaults change nothing. Ranges: proto/conclave/v1/common.proto,
/// SamplingParams.
struct SamplingParams {
  double temperature = 0.7;
  int64_t top_k = 0;
  double top_p = 1.0;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  double frequency_penalty = 0.0;
  double presence_penalty = 0.0;
  std::map<int32_t, double> logit_bias;
  uint64_t seed = 0;
  /// How many of the most likely tokens to report; nullopt: no log-probabilities at all.
  std::optional<int64_t> logprobs;
};

/// Errors: INVALID_ARGUMENT naming the parameter, its value and its range.
Status Validate(const SamplingParams& params, int64_t vocabulary);

}  // namespace conclave::engine
