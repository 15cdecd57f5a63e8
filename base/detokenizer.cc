#include "base/detokenizer.h"

#include "base/utf8.h"

namespace conclave {

Result<std::string> Detokenizer::Append(std::span<const int32_t> token_ids, bool keep_special) {
  for (const int32_t id : token_ids) {
    if (!tokens_->Contains(id)) {
      return InvalidArgument("the token id " + std::to_string(id) +
                             " is not in the vocabulary; its ids are 0 to " +
                             std::to_string(tokens_->size() - 1));
    }
  }
  std::string bytes = std::exchange(held_back_, {});
  for (const int32_t id : token_ids) {
    if (keep_special || !tokens_->IsSpecial(id)) bytes += tokens_->Bytes(id);
  }
  const size_t certain = bytes.size() - IncompleteUtf8Suffix(bytes);
  held_back_ = bytes.substr(certain);
  bytes.resize(certain);
  return IsValidUtf8(bytes) ? bytes : ReplaceInvalidUtf8(bytes);
}

std::string Detokenizer::Finish() { return ReplaceInvalidUtf8(std::exchange(held_back_, {})); }

}  // namespace conclave
