#include "services/tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>

#include "base/utf8.h"
#include "services/tokenizer/byte_level.h"
#include "services/tokenizer/hashing.h"
#include "services/tokenizer/limits.h"

namespace conclave::tokenizer {
namespace {

constexpr std::string_view kTurnEnds[] = {
    "<|im_end|>", "<|eot_id|>", "<|end|>", "</s>", "<end_of_turn>", "<|end_of_text|>", "<|endoftext|>",
};

std::string Quoted(std::string_view text) {
  constexpr size_t kShown = 64;
  return "'" + ReplaceInvalidUtf8(text.substr(0, kShown)) + (text.size() > kShown ? "...'" : "'");
}

Status BadToken(size_t id, const std::string& what) {
  return InvalidArgument("the vocabulary's token " + std::to_string(id) + " " + what);
}

}  // namespace

Result<std::shared_ptr<const Vocabulary>> Vocabulary::Create(VocabularyParts parts) {
  std::shared_ptr<Vocabulary> vocabulary(new Vocabulary());
  CONCLAVE_RETURN_IF_ERROR(vocabulary->TakeTokens(parts));
  CONCLAVE_RETURN_IF_ERROR(vocabulary->TakeTypes(parts.types));
  CONCLAVE_RETURN_IF_ERROR(vocabulary->IndexTokens());
  vocabulary->DecodeTokens();
  CONCLAVE_RETURN_IF_ERROR(vocabulary->TakeMerges(parts.merges));
  CONCLAVE_RETURN_IF_ERROR(vocabulary->TakeSpecials(parts));
  vocabulary->pre_tokenizer_ = std::move(parts.pre_tokenizer);
  vocabulary->ignore_merges_ = parts.ignore_merges;
  vocabulary->normalize_nfc_ = parts.normalize_nfc;
  return std::shared_ptr<const Vocabulary>(std::move(vocabulary));
}

Status Vocabulary::TakeTokens(VocabularyParts& parts) {
  if (parts.tokens.empty()) return InvalidArgument("the vocabulary has no tokens");
  if (parts.tokens.size() > kMaxVocabularyTokens) {
    return InvalidArgument("the vocabulary has " + std::to_string(parts.tokens.size()) + " tokens; at most " +
                           std::to_string(kMaxVocabularyTokens) + " are supported");
  }
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    const std::string& token = parts.tokens[id];
    if (token.empty()) return BadToken(id, "is empty");
    if (token.size() > kMaxTokenBytes) {
      return BadToken(id, "has " + std::to_string(token.size()) + " bytes; at most " +
                              std::to_string(kMaxTokenBytes) + " are supported");
    }
    if (!IsValidUtf8(token)) return BadToken(id, "is not valid UTF-8");
  }
  tokens_ = std::move(parts.tokens);
  return Status::Ok();
}

Status Vocabulary::TakeTypes(const std::vector<int64_t>& types) {
  types_.assign(tokens_.size(), TokenType::kNormal);
  if (types.empty()) return Status::Ok();
  if (types.size() != tokens_.size()) {
    return InvalidArgument("the vocabulary has " + std::to_string(tokens_.size()) + " tokens but " +
                           std::to_string(types.size()) + " token types");
  }
  for (size_t id = 0; id < types.size(); ++id) {
    if (types[id] < 1 || types[id] > 6) {
      return BadToken(id, "has the type " + std::to_string(types[id]) + "; types are 1 to 6");
    }
    types_[id] = static_cast<TokenType>(types[id]);
  }
  return Status::Ok();
}

size_t Vocabulary::FindSlot(std::string_view spelling) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = HashBytes(spelling) & mask;
  while (slots_[slot] >= 0 && tokens_[slots_[slot]] != spelling) slot = (slot + 1) & mask;
  return slot;
}

Status Vocabulary::IndexTokens() {
  slots_.assign(std::bit_ceil(tokens_.size() * 2 + 2), -1);
  for (int32_t id = 0; id < size(); ++id) {
    int32_t& slot = slots_[FindSlot(tokens_[id])];
    if (slot >= 0) return BadToken(id, Quoted(tokens_[id]) + " is token " + std::to_string(slot) + " too");
    slot = id;
  }
  return Status::Ok();
}

std::optional<int32_t> Vocabulary::Find(std::string_view spelling) const {
  const int32_t id = slots_[FindSlot(spelling)];
  return id < 0 ? std::nullopt : std::optional(id);
}

void Vocabulary::DecodeTokens() {
  auto table = std::make_shared<TokenTable>();
  table->Reserve(tokens_.size());
  for (int32_t id = 0; id < size(); ++id) {
    const bool spelled = types_[id] != TokenType::kControl && types_[id] != TokenType::kUserDefined;
    const std::optional<std::string> bytes = spelled ? UnspellBytes(tokens_[id]) : std::nullopt;
    table->Add(bytes ? *bytes : tokens_[id], IsSpecial(id));
  }
  table_ = std::move(table);
  for (int byte = 0; byte < 256; ++byte) {
    const std::optional<int32_t> id = Find(SpellByte(static_cast<uint8_t>(byte)));
    byte_tokens_[byte] = id.value_or(-1);
  }
}

size_t Vocabulary::PairSlot(uint64_t pair) const { return MixBits(pair) & pair_mask_; }

Result<PairMerge> Vocabulary::ReadMerge(std::string_view merge, uint32_t rank, uint64_t* pair) const {
  const auto bad = [&](const std::string& what) {
    return InvalidArgument("the vocabulary's merge " + std::to_string(rank) + " " + Quoted(merge) + " " +
                           what);
  };
  if (merge.size() > 2 * kMaxTokenBytes + 1) return bad("is longer than two tokens can be");
  const size_t space = merge.find(' ', 1);
  if (space == std::string_view::npos || space + 1 == merge.size()) return bad("does not name two tokens");
  const std::string_view left = merge.substr(0, space);
  const std::string_view right = merge.substr(space + 1);
  const std::optional<int32_t> left_id = Find(left);
  if (!left_id) return bad("names " + Quoted(left) + ", which is no token");
  const std::optional<int32_t> right_id = Find(right);
  if (!right_id) return bad("names " + Quoted(right) + ", which is no token");
  const std::optional<int32_t> merged_id = Find(std::string(left).append(right));
  if (!merged_id) return bad("makes what is no token");
  *pair = static_cast<uint64_t>(static_cast<uint32_t>(*left_id)) << 32 | static_cast<uint32_t>(*right_id);
  return PairMerge{rank, *merged_id};
}

Status Vocabulary::TakeMerges(const std::vector<std::string>& merges) {
  if (merges.size() > kMaxMerges) {
    return InvalidArgument("the vocabulary has " + std::to_string(merges.size()) + " merges; at most " +
                           std::to_string(kMaxMerges) + " are supported");
  }
  pairs_.assign(std::bit_ceil(merges.size() * 2 + 2), PairEntry{kNoPair, {}});
  pair_mask_ = pairs_.size() - 1;
  for (uint32_t rank = 0; rank < merges.size(); ++rank) {
    uint64_t pair = 0;
    CONCLAVE_ASSIGN_OR_RETURN(const PairMerge merge, ReadMerge(merges[rank], rank, &pair));
    size_t slot = PairSlot(pair);
    while (pairs_[slot].pair != kNoPair && pairs_[slot].pair != pair) slot = (slot + 1) & pair_mask_;
    if (pairs_[slot].pair == pair) {
      return InvalidArgument("the vocabulary's merge " + std::to_string(rank) + " " + Quoted(merges[rank]) +
                             " is merge " + std::to_string(pairs_[slot].merge.rank) + " too");
    }
    pairs_[slot] = {pair, merge};
  }
  return Status::Ok();
}

Status Vocabulary::TakeSpecials(const VocabularyParts& parts) {
  const auto bad = [&](const char* what, int64_t id) {
    return InvalidArgument("the vocabulary's " + std::string(what) + " token is " + std::to_string(id) +
                           ", but the ids are 0 to " + std::to_string(size() - 1));
  };
  if (parts.begin_token_id) {
    if (!Contains(*parts.begin_token_id)) return bad("begin", *parts.begin_token_id);
    begin_token_id_ = static_cast<int32_t>(*parts.begin_token_id);
  }
  add_begin_token_ = parts.add_begin_token;
  if (parts.end_token_ids.size() > kMaxEndTokens) {
    return InvalidArgument("the vocabulary has more than " + std::to_string(kMaxEndTokens) + " end tokens");
  }
  for (const int64_t id : parts.end_token_ids) {
    if (!Contains(id)) return bad("end", id);
    end_token_ids_.push_back(static_cast<int32_t>(id));
  }
  for (const std::string_view text : kTurnEnds) {
    const std::optional<int32_t> id = Find(text);
    if (id && Type(*id) == TokenType::kControl) end_token_ids_.push_back(*id);
  }
  std::sort(end_token_ids_.begin(), end_token_ids_.end());
  end_token_ids_.erase(std::unique(end_token_ids_.begin(), end_token_ids_.end()), end_token_ids_.end());
  return Status::Ok();
}

}  // namespace conclave::tokenizer
