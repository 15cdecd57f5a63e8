#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave::engine {

/// One sequence's attention over its paged keys and values, for some of its query rows and one key-value
/// head. Keys and values are stored as [block][kv_head][token in block][head_dim] in float32 or IEEE half.
struct AttentionTask {
  const float* queries = nullptr;  ///< first query row, first of this group's query heads
  int64_t query_rows = 0;
  int64_t query_stride = 0;  ///< numbers from one query row to the next
  int64_t heads = 0;         ///< query heads that share the key-value head; they lie side by side
  int64_t head_dim = 0;
  const std::byte* const* key_blocks = nullptr;  ///< one pointer a block, at this key-value head
  const std::byte* const* value_blocks = nullptr;
  int64_t block_tokens = 0;
  bool half_precision = false;
  int64_t first_position =
      0;               ///< position of the first query row; row r attends to positions 0..first_position + r
  int64_t window = 0;  ///< and only to the last `window` of them; 0: all
  float scale = 1.0f;
  float* out = nullptr;  ///< laid out as the queries; does not overlap them
  int64_t out_stride = 0;
};

}  // namespace conclave::engine
