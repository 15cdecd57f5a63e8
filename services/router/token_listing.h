#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "base/token_table.h"
#include "conclave/v1/tokenizer.pb.h"

namespace conclave::router {

/// Puts a vocabulary together from the pages of TokenizerService.ListTokens, none of which is trusted. One
/// thread at a time.
class TokenListing {
 public:
  /// `model_hash`: whose vocabulary it must be.
  explicit TokenListing(std::string model_hash) : model_hash_(std::move(model_hash)) {}

  /// What to ask for while `complete` is false.
  v1::ListTokensRequest NextRequest() const;
  bool complete() const { return vocabulary_size_ > 0 && table_->size() == vocabulary_size_; }

  /// The page that was asked for. Errors: FAILED_PRECONDITION (another model's), INTERNAL (a page that does
  /// not fit together, or a vocabulary beyond limits.h); the listing is of no use then.
  Status Take(const v1::ListTokensResponse& page);

  /// Once complete.
  std::shared_ptr<const TokenTable> table() const { return table_; }

 private:
  const std::string model_hash_;
  int32_t vocabulary_size_ = 0;
  size_t bytes_ = 0;
  std::shared_ptr<TokenTable> table_ = std::make_shared<TokenTable>();
};

}  // namespace conclave::router
