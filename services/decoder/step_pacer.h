#pragma once

#include <array>
#include <cstdint>

namespace conclave::decoder {

/// How many prompt tokens a step may compute beside running answers, so that these wait for their next token
/// not much longer than they would without any prompt. Learns from how long steps took. Used by one thread at
/// a time.
class StepPacer {
 public:
  /// A step with prompts may take so many percent of one without; 0: however long it takes.
  explicit StepPacer(int64_t slowdown_percent) : slowdown_(static_cast<double>(slowdown_percent) / 100.0) {}

  /// At most `most`, and kLeastPacedTokens or more where `most` allows it.
  int64_t PromptTokens(int64_t answers, int64_t most) const;

  /// A step with so many answers and prompt tokens took `seconds`.
  void Learn(int64_t answers, int64_t prompt_tokens, double seconds);

 private:
  /// A mean in which what came last counts most; 0 while nothing is known.
  struct Mean {
    double value = 0.0;
    void Add(double sample, double weight) {
      value = value == 0.0 ? sample : value + weight * (sample - value);
    }
  };
  /// Answers are counted in powers of two.
  static constexpr int kSizes = 13;
  static int SizeOf(int64_t answers);

  double slowdown_;
  std::array<Mean, kSizes> idle_s_;  ///< steps without prompts
  Mean token_s_;                     ///< what a prompt's token adds
};

}  // namespace conclave::decoder
