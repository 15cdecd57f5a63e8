#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace conclave::engine {

/// Guesses how a text goes on: as it went on after the last occurrence of its last tokens (prompt look-up
/// decoding; "inference with reference", arXiv 2304.04487). Guesses cost nothing but their check, which one
/// step of the model makes for all of them; see DraftBudget for how many are worth it.
///
/// Remembers the last place of every pair and triple of tokens. The hash has a seed of its own, so chosen
/// tokens cannot make look-ups slow. Used by one thread at a time.
class PromptLookup {
 public:
  PromptLookup();

  /// The text grows by `tokens`. Takes O(tokens).
  void Append(std::span<const int32_t> tokens);

  /// At most `most` tokens that may come next; none when the text's last two tokens are new.
  std::vector<int32_t> Draft(int64_t most) const;

 private:
  /// Two or three tokens; of two, the first is -1.
  using Ngram = std::array<int32_t, 3>;
  struct Hash {
    uint64_t seed;
    size_t operator()(const Ngram& ngram) const;
  };

  std::vector<int32_t> text_;
  /// Where what follows an n-gram begins; only for those that something follows.
  std::unordered_map<Ngram, int32_t, Hash> after_;
};

/// How many tokens of a sequence are worth guessing: more while guesses come true, none for a while when they
/// do not. Used by one thread at a time.
class DraftBudget {
 public:
  static constexpr int64_t kFirstDrafts = 3;

  /// At most `most` at once; 0: never any.
  explicit DraftBudget(int64_t most) : most_(most), next_(std::min(most, kFirstDrafts)) {}

  /// For the step that comes.
  int64_t Next();

  /// What became of the last guesses, of which there was at least one.
  void Learn(int64_t drafted, int64_t accepted);

 private:
  int64_t most_;
  int64_t next_;
  int64_t failures_ = 0;  ///< in a row
  int64_t rest_ = 0;      ///< steps without guesses
};

}  // namespace conclave::engine
