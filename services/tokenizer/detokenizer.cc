#include "services/tokenizer/detokenizer.h"

#include <utility>

#include "base/utf8.h"
#include "services/tokenizer/limits.h"

namespace conclave::tokenizer {

Result<std::string> Detokenizer::Append(std::span<const int32_t> token_ids, bool keep_special) {
  if (token_ids.size() > kMaxDecodeTokens) {
    return InvalidArgument(std::to_string(token_ids.size()) + " token ids at once; at most " +
                           std::to_string(kMaxDecodeTokens) + " are decoded at once");
  }
  for (const int32_t id : token_ids) {
    if (!vocabulary_->Contains(id)) {
      return InvalidArgument("the token id " + std::to_string(id) +
                             " is not in the vocabulary; its ids are 0 to " +
                             std::to_string(vocabulary_->size() - 1));
    }
  }
  std::string bytes = std::exchange(held_back_, {});
  for (const int32_t id : token_ids) {
    if (keep_special || !vocabulary_->IsSpecial(id)) bytes += vocabulary_->Bytes(id);
  }
  const size_t certain = bytes.size() - IncompleteUtf8Suffix(bytes);
  held_back_ = bytes.substr(certain);
  bytes.resize(certain);
  return IsValidUtf8(bytes) ? bytes : ReplaceInvalidUtf8(bytes);
}

std::string Detokenizer::Finish() { return ReplaceInvalidUtf8(std::exchange(held_back_, {})); }

}  // namespace conclave::tokenizer
