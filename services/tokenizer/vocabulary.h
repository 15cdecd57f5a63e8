#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token_table.h"

namespace conclave::tokenizer {

/// The numbers are GGUF's tokenizer.ggml.token_type.
enum class TokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // Steers the model; left out of decoded text.
  kUserDefined = 4,  // Text that was added as one token; part of decoded text.
  kUnused = 5,
  kByte = 6,
};

/// What a model's files say, not yet trusted.
struct VocabularyParts {
  /// In the order of their ids. Normal tokens are spelled as byte_level.h does, others are plain text.
  std::vector<std::string> tokens;
  /// As many as tokens, or none when all are normal. GGUF's numbers.
  std::vector<int64_t> types;
  /// "left right", best first; their spellings are those of tokens.
  std::vector<std::string> merges;
  /// A name that FindPreTokenizer knows.
  std::string pre_tokenizer;
  /// A piece that is a token is that token, whatever the merges would make of it.
  /// Unset: what models with this pre-tokenizer do.
  std::optional<bool> ignore_merges;
  /// Text is normalised to NFC first. Unset: what models with this pre-tokenizer do.
  std::optional<bool> normalize_nfc;
  std::optional<int64_t> begin_token_id;
  std::vector<int64_t> end_token_ids;
  /// Texts start with the begin token where special tokens are asked for.
  /// Unset: what models with this pre-tokenizer do.
  std::optional<bool> add_begin_token;
};

/// How one pair of tokens merges. A lower rank merges earlier.
struct PairMerge {
  uint32_t rank = kNone;
  int32_t token_id = -1;
  static constexpr uint32_t kNone = UINT32_MAX;
};

/// A byte-level BPE vocabulary, checked. Immutable; any thread may read.
class Vocabulary {
 public:
  /// Errors: INVALID_ARGUMENT, naming the entry: a token twice, empty, too long or with a type that does not
  /// exist, a merge that names what is no token, an id out of range, more entries than limits.h allows.
  static Result<std::shared_ptr<const Vocabulary>> Create(VocabularyParts parts);

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }
  bool Contains(int64_t id) const { return id >= 0 && id < size(); }

  /// The token as the files spell it; its type. The id must exist.
  const std::string& Spelling(int32_t id) const { return tokens_[id]; }
  TokenType Type(int32_t id) const { return types_[id]; }
  /// Control tokens and the unknown token: no text of their own.
  bool IsSpecial(int32_t id) const {
    return Type(id) == TokenType::kControl || Type(id) == TokenType::kUnknown;
  }

  /// Each token's bytes in a text.
  const std::shared_ptr<const TokenTable>& table() const { return table_; }

  /// The token that the files spell so.
  std::optional<int32_t> Find(std::string_view spelling) const;

  /// The token of one byte; -1 when there is none. Such bytes of a text are left out, as the reference does:
  /// published vocabularies lack control characters and bytes that UTF-8 does not use.
  int32_t ByteToken(uint8_t byte) const { return byte_tokens_[byte]; }

  /// What two adjacent tokens merge to; rank kNone when they do not.
  PairMerge FindMerge(int32_t left, int32_t right) const {
    const uint64_t pair =
        static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    for (size_t slot = PairSlot(pair);; slot = (slot + 1) & pair_mask_) {
      if (pairs_[slot].pair == pair) return pairs_[slot].merge;
      if (pairs_[slot].pair == kNoPair) return {};
    }
  }

  const std::string& pre_tokenizer() const { return pre_tokenizer_; }
  std::optional<bool> ignore_merges() const { return ignore_merges_; }
  std::optional<bool> normalize_nfc() const { return normalize_nfc_; }
  std::optional<bool> add_begin_token() const { return add_begin_token_; }
  std::optional<int32_t> begin_token_id() const { return begin_token_id_; }
  /// Ascending, each once: the declared ones and the control tokens that are known to end a turn.
  const std::vector<int32_t>& end_token_ids() const { return end_token_ids_; }

 private:
  struct PairEntry {
    uint64_t pair;
    PairMerge merge;
  };
  static constexpr uint64_t kNoPair = UINT64_MAX;

  Vocabulary() = default;
  Status TakeTokens(VocabularyParts& parts);
  Status TakeTypes(const std::vector<int64_t>& types);
  Status IndexTokens();
  void DecodeTokens();
  Status TakeMerges(const std::vector<std::string>& merges);
  Result<PairMerge> ReadMerge(std::string_view merge, uint32_t rank, uint64_t* pair) const;
  Status TakeSpecials(const VocabularyParts& parts);
  size_t PairSlot(uint64_t pair) const;
  size_t FindSlot(std::string_view spelling) const;

  std::vector<std::string> tokens_;
  std::vector<TokenType> types_;
  std::shared_ptr<const TokenTable> table_;
  std::vector<int32_t> slots_;  // Open addressing: token ids, -1 when free.
  std::array<int32_t, 256> byte_tokens_{};
  std::vector<PairEntry> pairs_;  // Open addressing.
  size_t pair_mask_ = 0;
  std::string pre_tokenizer_;
  std::optional<bool> ignore_merges_;
  std::optional<bool> normalize_nfc_;
  std::optional<bool> add_begin_token_;
  std::optional<int32_t> begin_token_id_;
  std::vector<int32_t> end_token_ids_;
};

}  // namespace conclave::tokenizer
