#pragma once

#include <memory>

#include "services/tokenizer/pre_tokenizer.h"

namespace conclave::tokenizer {

/// GPT-2: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// With `individual_digits`, every digit is cut out first.
std::shared_ptr<const PreTokenizer> MakeGpt2Splitter(bool individual_digits);

struct Llama3Rules {
  /// The most digits in a piece: \p{N}{1,3}.
  int max_digits = 3;
  /// Marks belong to words: [\p{L}\p{M}]+ instead of \p{L}+.
  bool marks_in_words = false;
};

/// Llama 3: (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
/// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
/// \s+(?!\S)|\s+
std::shared_ptr<const PreTokenizer> MakeLlama3Splitter(const Llama3Rules& rules);

}  // namespace conclave::tokenizer
