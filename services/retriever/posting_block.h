#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace conclave::retriever {

/// Passages are numbered; so many consecutive ones share a block of each term's list.
inline constexpr uint64_t kBlockChunks = 512;

/// A passage's place in its block, and its value: how often the term occurs, or its length in terms.
struct Posting {
  uint16_t offset;
  uint32_t value;

  friend bool operator==(const Posting&, const Posting&) = default;
};

/// Ordered by offset, each offset once.
using PostingBlock = std::vector<Posting>;

/// The count, then for each posting the distance from the previous offset and the value, all as LEB128.
std::string EncodePostings(const PostingBlock& block);

/// DATA_LOSS when the bytes are not what EncodePostings writes.
Result<PostingBlock> DecodePostings(std::string_view bytes);

/// How many postings an encoded block says it has; 0 when it is damaged.
uint64_t CountPostings(std::string_view bytes);

/// Adds a posting, or replaces the one with its offset.
void SetPosting(PostingBlock& block, const Posting& posting);

/// Removes the postings with offsets in [first, last]; returns how many there were.
size_t ErasePostings(PostingBlock& block, uint64_t first, uint64_t last);

}  // namespace conclave::retriever
