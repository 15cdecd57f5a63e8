#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace conclave::tokenizer {

/// Takes the pieces of a text in order. A piece points into the text.
class PieceSink {
 public:
  virtual ~PieceSink() = default;
  virtual void Piece(std::string_view piece) = 0;
};

/// Cuts a text into the pieces that no token crosses: words with the space before them, numbers, punctuation,
/// runs of white space. Hand-written scanners instead of the models' regular expressions, so that time is
/// linear in the text whatever it holds. Stateless; any thread may call.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;

  /// Hands out all of `text`, which must be valid UTF-8, in pieces that are not empty.
  virtual void Split(std::string_view text, PieceSink& sink) const = 0;
};

/// A pre-tokenizer with what models that name it do unless their files say otherwise.
struct PreTokenizerChoice {
  std::shared_ptr<const PreTokenizer> splitter;
  bool ignore_merges = false;
  bool normalize_nfc = false;
  /// Texts start with the begin token.
  bool add_begin_token = false;
};

/// By the name in GGUF's tokenizer.ggml.pre. Errors: UNIMPLEMENTED, naming the unknown one.
Result<PreTokenizerChoice> FindPreTokenizer(std::string_view name);

/// The first name that splits as `name` does and also says these two things; empty when there is none, or no
/// such `name`.
std::string_view PreTokenizerLike(std::string_view name, bool ignore_merges, bool normalize_nfc);

/// The name for a regular expression of a tokenizer.json whose pieces it cuts; empty when it is unknown.
std::string_view PreTokenizerOfPattern(std::string_view pattern);

}  // namespace conclave::tokenizer
