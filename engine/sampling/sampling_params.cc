#include "engine/sampling/sampling_params.h"

#include <cmath>
#include <sstream>
#include <string_view>

namespace conclave::engine {
namespace {

struct Range {
  std::string_view name;
  double value;
  double low;
  double high;
  bool low_excluded = false;
};

Status Check(const Range& range) {
  const bool above = range.low_excluded ? range.value > range.low : range.value >= range.low;
  if (above && range.value <= range.high) return Status::Ok();  // NaN fails both comparisons.
  std::ostringstream message;
  message << range.name << " is " << range.value << "; it must be "
          << (range.low_excluded ? "above " : "from ") << range.low
          << (range.low_excluded ? " and at most " : " to ") << range.high;
  return InvalidArgument(message.str());
}

}  // namespace

Status Validate(const SamplingParams& params, int64_t vocabulary) {
  const Range ranges[] = {
      {"temperature", params.temperature, 0.0, 100.0},
      {"top_k", static_cast<double>(params.top_k), 0.0, 4294967295.0},
      {"top_p", params.top_p, 0.0, 1.0, true},
      {"min_p", params.min_p, 0.0, 1.0},
      {"repetition_penalty", params.repetition_penalty, 0.01, 10.0},
      {"frequency_penalty", params.frequency_penalty, -2.0, 2.0},
      {"presence_penalty", params.presence_penalty, -2.0, 2.0},
      {"logprobs", static_cast<double>(params.logprobs.value_or(0)), 0.0, static_cast<double>(kMostLogprobs)},
  };
  for (const Range& range : ranges) CONCLAVE_RETURN_IF_ERROR(Check(range));
  if (params.logit_bias.size() > kMostLogitBiases) {
    return InvalidArgument("logit_bias has " + std::to_string(params.logit_bias.size()) +
                           " entries; at most " + std::to_string(kMostLogitBiases) + " are allowed");
  }
  for (const auto& [token, bias] : params.logit_bias) {
    if (token < 0 || token >= vocabulary) {
      return InvalidArgument("logit_bias names token id " + std::to_string(token) +
                             ", which is outside the vocabulary of " + std::to_string(vocabulary));
    }
    CONCLAVE_RETURN_IF_ERROR(Check({"logit_bias", bias, -100.0, 100.0}));
  }
  return Status::Ok();
}

}  // namespace conclave::engine
