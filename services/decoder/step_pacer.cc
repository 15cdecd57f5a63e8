#include "services/decoder/step_pacer.h"

#include <algorithm>
#include <bit>

#include "services/decoder/limits.h"

namespace conclave::decoder {
namespace {

constexpr double kIdleWeight = 0.1;
constexpr double kTokenWeight = 0.3;
/// As long as nothing is known of what tokens cost.
constexpr int64_t kFirstPacedTokens = 32;

}  // namespace

int StepPacer::SizeOf(int64_t answers) {
  return std::min(static_cast<int>(std::bit_width(static_cast<uint64_t>(answers))) - 1, kSizes - 1);
}

int64_t StepPacer::PromptTokens(int64_t answers, int64_t most) const {
  if (slowdown_ == 0.0 || answers == 0) return most;
  const double idle_s = idle_s_[SizeOf(answers)].value;
  int64_t tokens = kFirstPacedTokens;
  if (idle_s > 0.0 && token_s_.value > 0.0) {
    const double fitting = (slowdown_ - 1.0) * idle_s / token_s_.value;
    tokens = static_cast<int64_t>(std::min(fitting, static_cast<double>(most)));
  }
  return std::min(most, std::max(tokens, kLeastPacedTokens));
}

void StepPacer::Learn(int64_t answers, int64_t prompt_tokens, double seconds) {
  if (answers == 0) {
    // More than a token adds to a step that reads the weights anyway; the next mixed step knows better.
    if (prompt_tokens > 0) token_s_.Add(seconds / static_cast<double>(prompt_tokens), kTokenWeight);
  } else if (prompt_tokens == 0) {
    idle_s_[SizeOf(answers)].Add(seconds, kIdleWeight);
  } else if (const double idle_s = idle_s_[SizeOf(answers)].value; idle_s > 0.0) {
    // Never free, or one quick step would let in everything.
    const double least_s = 0.05 * idle_s / static_cast<double>(prompt_tokens);
    token_s_.Add(std::max((seconds - idle_s) / static_cast<double>(prompt_tokens), least_s), kTokenWeight);
  }
}

}  // namespace conclave::decoder
