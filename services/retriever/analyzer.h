#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace conclave::retriever {

/// Turns text into terms: words as ICU finds them (UAX 29, with dictionaries for Chinese, Japanese, Thai,
/// Lao, Khmer and Burmese), in NFKC with case folded, stemmed by Snowball (snowballstem.org). Numbers are
/// words; punctuation, blanks and emoji are not. Nothing is left out: common words weigh little by
/// themselves. Not thread-safe: make one a thread.
class Analyzer {
 public:
  /// `language`: of the stemmer, as Snowball names it ("english", "de"). INVALID_ARGUMENT names one it has
  /// not.
  static Result<Analyzer> Make(const std::string& language = "english");

  Analyzer(Analyzer&&) noexcept;
  Analyzer& operator=(Analyzer&&) noexcept;
  ~Analyzer();

  /// The terms of `text` (valid UTF-8) in their order; each 1 to kMaxTermBytes, valid UTF-8.
  std::vector<std::string> Analyze(std::string_view text);

 private:
  struct State;
  explicit Analyzer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace conclave::retriever
