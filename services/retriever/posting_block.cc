#include "services/retriever/posting_block.h"

#include <algorithm>
#include <optional>

namespace conclave::retriever {
namespace {

void PutVarint(std::string& bytes, uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
}

/// The next number of at most 35 bits; nothing when there is none.
std::optional<uint64_t> TakeVarint(std::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0; shift < 35 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

bool OffsetBefore(const Posting& posting, uint64_t offset) { return posting.offset < offset; }

}  // namespace

std::string EncodePostings(const PostingBlock& block) {
  std::string bytes;
  bytes.reserve(2 + 2 * block.size());
  PutVarint(bytes, block.size());
  uint16_t previous = 0;
  for (const Posting& posting : block) {
    PutVarint(bytes, posting.offset - previous);
    PutVarint(bytes, posting.value);
    previous = posting.offset;
  }
  return bytes;
}

Result<PostingBlock> DecodePostings(std::string_view bytes) {
  const Status damaged =
      DataLoss("the index is damaged: a posting block cannot be read; ingest the collection again");
  const auto count = TakeVarint(bytes);
  if (!count || *count > kBlockChunks) return damaged;
  PostingBlock block;
  block.reserve(*count);
  uint64_t offset = 0;
  for (uint64_t i = 0; i < *count; ++i) {
    const auto distance = TakeVarint(bytes);
    const auto value = TakeVarint(bytes);
    if (!distance || !value || (i > 0 && *distance == 0) || *value > UINT32_MAX) return damaged;
    offset += *distance;
    if (offset >= kBlockChunks) return damaged;
    block.push_back({static_cast<uint16_t>(offset), static_cast<uint32_t>(*value)});
  }
  if (!bytes.empty()) return damaged;
  return block;
}

uint64_t CountPostings(std::string_view bytes) { return TakeVarint(bytes).value_or(0); }

void SetPosting(PostingBlock& block, const Posting& posting) {
  const auto at = std::lower_bound(block.begin(), block.end(), posting.offset, OffsetBefore);
  if (at != block.end() && at->offset == posting.offset) {
    *at = posting;
  } else {
    block.insert(at, posting);
  }
}

size_t ErasePostings(PostingBlock& block, uint64_t first, uint64_t last) {
  const auto begin = std::lower_bound(block.begin(), block.end(), first, OffsetBefore);
  const auto end = std::lower_bound(begin, block.end(), last + 1, OffsetBefore);
  const size_t erased = end - begin;
  block.erase(begin, end);
  return erased;
}

}  // namespace conclave::retriever
