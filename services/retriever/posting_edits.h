#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "platform/storage/durable_store.h"
#include "services/retriever/posting_block.h"

namespace conclave::retriever {

/// Changed posting blocks that are not written yet, over those of the store. Not thread-safe.
class PostingEdits {
 public:
  explicit PostingEdits(const platform::DurableStore& store) : store_(store) {}

  /// The block under `key` for changing: the edited one, else the stored one, else an empty one.
  Result<PostingBlock*> Edit(const std::string& key);

  /// Removes the postings of the passages [first, last] from the blocks under `key_prefix` + block number.
  Status EraseRange(const std::string& key_prefix, uint64_t first, uint64_t last);

  /// Writes all edited blocks into the batch, empty ones as deletions, and forgets them.
  void MoveInto(platform::WriteBatch& batch);

  void Clear() { edits_.clear(); }

 private:
  const platform::DurableStore& store_;
  std::unordered_map<std::string, PostingBlock> edits_;
};

}  // namespace conclave::retriever
