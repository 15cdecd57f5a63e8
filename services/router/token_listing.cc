#include "services/router/token_listing.h"

#include "services/router/limits.h"

namespace conclave::router {
namespace {

Status BadPage(const std::string& what) { return Internal("the tokenizer's list of tokens " + what); }

}  // namespace

v1::ListTokensRequest TokenListing::NextRequest() const {
  v1::ListTokensRequest request;
  request.set_first_token_id(table_->size());
  return request;
}

Status TokenListing::Take(const v1::ListTokensResponse& page) {
  if (page.model().model_hash() != model_hash_) {
    return FailedPrecondition("the tokenizer changed its model while its tokens were listed");
  }
  if (page.vocabulary_size() > kMostVocabularyTokens) {
    return BadPage("has " + std::to_string(page.vocabulary_size()) + " entries; at most " +
                   std::to_string(kMostVocabularyTokens) + " are supported");
  }
  const auto size = static_cast<int32_t>(page.vocabulary_size());
  if (vocabulary_size_ != 0 && size != vocabulary_size_) return BadPage("changed its length");
  vocabulary_size_ = size;
  if (page.lengths_size() == 0) return BadPage("has an empty page");
  if (page.lengths_size() > size - table_->size()) return BadPage("is longer than the vocabulary");
  bytes_ += page.text().size();
  if (bytes_ > kMostVocabularyBytes) {
    return BadPage("has more than " + std::to_string(kMostVocabularyBytes) + " bytes");
  }
  std::string_view text = page.text();
  auto special = page.special_token_ids().begin();
  for (const uint32_t length : page.lengths()) {
    if (length > text.size()) return BadPage("has less text than its lengths say");
    const bool is_special = special != page.special_token_ids().end() && *special == table_->size();
    if (is_special) ++special;
    table_->Add(text.substr(0, length), is_special);
    text.remove_prefix(length);
  }
  if (!text.empty()) return BadPage("has more text than its lengths say");
  if (special != page.special_token_ids().end()) {
    return BadPage("names special tokens that are not on their page, or not in order");
  }
  return Status::Ok();
}

}  // namespace conclave::router
