#include "services/retriever/posting_edits.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "services/retriever/index_keys.h"

namespace conclave::retriever {

Result<PostingBlock*> PostingEdits::Edit(const std::string& key) {
  if (const auto found = edits_.find(key); found != edits_.end()) return &found->second;
  CONCLAVE_ASSIGN_OR_RETURN(const auto bytes, store_.Get(key));
  PostingBlock block;
  if (bytes) {
    CONCLAVE_ASSIGN_OR_RETURN(block, DecodePostings(*bytes));
  }
  return &edits_.emplace(key, std::move(block)).first->second;
}

Status PostingEdits::EraseRange(const std::string& key_prefix, uint64_t first, uint64_t last) {
  // A term of a long document is missing from most of its blocks: only those that exist are looked at. What
  // is to be erased was written before, so that no block can be in the edits alone.
  std::string from = key_prefix;
  for (int shift = 56; shift >= 0; shift -= 8) from += static_cast<char>((first / kBlockChunks) >> shift);
  std::vector<std::pair<std::string, uint64_t>> keys;
  CONCLAVE_RETURN_IF_ERROR(
      store_.Scan({.prefix = key_prefix, .from_key = from}, [&](std::string_view key, std::string_view) {
        const auto block = TrailingNumber(key);
        if (!block || *block > last / kBlockChunks) return false;
        keys.emplace_back(key, *block);
        return true;
      }));
  for (const auto& [key, number] : keys) {
    CONCLAVE_ASSIGN_OR_RETURN(PostingBlock * block, Edit(key));
    const uint64_t base = number * kBlockChunks;
    const uint64_t begin = std::max(first, base) - base;
    ErasePostings(*block, begin, std::min(last - base, kBlockChunks - 1));
  }
  return Status::Ok();
}

void PostingEdits::MoveInto(platform::WriteBatch& batch) {
  for (const auto& [key, block] : edits_) {
    if (block.empty()) {
      batch.Delete(key);
    } else {
      batch.Put(key, EncodePostings(block));
    }
  }
  edits_.clear();
}

}  // namespace conclave::retriever
