#pragma once

#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "services/tokenizer/bpe.h"
#include "services/tokenizer/pre_tokenizer.h"
#include "services/tokenizer/special_tokens.h"
#include "services/tokenizer/vocabulary.h"

namespace conclave::tokenizer {

struct EncodeOptions {
  /// Put the begin token in front where the model asks for it.
  bool add_special = false;
  /// The texts of special tokens stand for those tokens; otherwise they are plain text.
  bool parse_special = false;
  /// The text holds guards (content_guard.h): a guarded special token is plain text, and guards are removed.
  bool guarded = false;
};

/// Turns text into tokens. Any thread may call; each call runs on the caller's thread, with working memory
/// that is kept for the next one. Time is O(n log n) in the text whatever it holds.
class Encoder {
 public:
  /// Errors: UNIMPLEMENTED (an unknown pre-tokenizer).
  static Result<std::unique_ptr<const Encoder>> Create(std::shared_ptr<const Vocabulary> vocabulary);
  ~Encoder();

  const SpecialTokens& special_tokens() const { return special_tokens_; }

  /// Errors: INVALID_ARGUMENT (not UTF-8, longer than kMaxTextBytes, or too many combining marks in a row).
  /// `work`, when given, receives what merging cost.
  Result<std::vector<int32_t>> Encode(std::string_view text, const EncodeOptions& options,
                                      MergeWork* work = nullptr) const;

 private:
  class PieceEncoder;

  Encoder(std::shared_ptr<const Vocabulary> vocabulary, PreTokenizerChoice choice);
  std::unique_ptr<PieceEncoder> Borrow() const;
  void GiveBack(std::unique_ptr<PieceEncoder> encoder) const;
  Status EncodePlain(std::string_view text, PieceEncoder& pieces) const;
  Status EncodeParsed(std::string_view text, bool guarded, PieceEncoder& pieces,
                      std::vector<int32_t>* token_ids) const;

  const std::shared_ptr<const Vocabulary> vocabulary_;
  const std::shared_ptr<const PreTokenizer> splitter_;
  const SpecialTokens special_tokens_;
  const bool ignore_merges_;
  const bool normalize_nfc_;
  const bool add_begin_token_;
  mutable std::mutex idle_mutex_;
  mutable std::vector<std::unique_ptr<PieceEncoder>> idle_;  // Guarded by idle_mutex_.
  mutable std::mutex large_piece_mutex_;  // Held while a piece over kLargePieceBytes merges.
};

}  // namespace conclave::tokenizer
