#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/token_table.h"

namespace conclave {

/// Turns one sequence's tokens into text as they come. What is released is certain: never part of a
/// character, and together exactly what decoding all tokens at once gives. Holds at most three bytes back.
/// One thread at a time.
class Detokenizer {
 public:
  explicit Detokenizer(std::shared_ptr<const TokenTable> tokens) : tokens_(std::move(tokens)) {}

  /// The text that became certain; may be empty. Bytes that can no longer become a character appear as
  /// U+FFFD. `keep_special`: control tokens appear as their text; otherwise they are left out. Errors:
  /// INVALID_ARGUMENT (an id that the vocabulary does not have); nothing is taken then.
  Result<std::string> Append(std::span<const int32_t> token_ids, bool keep_special = false);

  /// The end of the sequence: what is held back, as U+FFFD. The object is as new then.
  std::string Finish();

 private:
  std::shared_ptr<const TokenTable> tokens_;
  std::string held_back_;
};

}  // namespace conclave
