#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace conclave::engine {

/// The widest head whose keys and values can be stored in less than float32.
inline constexpr int64_t kMostPairedHeadDim = 256;

/// How a block of keys, or values, of one head holds its numbers. For values head_dim is their own width.
enum class KvFormat {
  /// float32 [token][head_dim].
  kFloat32,
  /// Pairs of bfloat16 numbers in 32-bit words, the first number in the lower half: keys [head_dim / 2]
  /// [token], a pair being two numbers of one key; values [token / 2][head_dim], a pair being the same number
  /// of two values. Needs an even head_dim up to kMostPairedHeadDim and block_tokens that are a multiple of
  /// 32.
  kBrainPairs,
  /// Signed 8-bit numbers, four in a 32-bit word, the first in the lowest byte: keys [head_dim / 4][token], a
  /// word being four numbers of one key; values [token / 4][head_dim], a word being the same number of four
  /// values. Behind them a float32 scale for each token: a number is its integer times that. Needs a head_dim
  /// that is a multiple of 4 up to kMostPairedHeadDim and block_tokens that are a multiple of 32.
  kInt8,
};

/// As configurations and reports say it.
constexpr std::string_view KvFormatName(KvFormat format) {
  switch (format) {
    case KvFormat::kBrainPairs: return "bf16";
    case KvFormat::kInt8: return "int8";
    case KvFormat::kFloat32: break;
  }
  return "f32";
}

/// One sequence's attention over its paged keys and values, for some of its query rows and one key-value
/// head. A block holds keys, or values, of one head; kv_storage.h writes them.
struct AttentionTask {
  const float* queries = nullptr;  ///< first query row, first of this group's query heads
  int64_t query_rows = 0;
  int64_t query_stride = 0;  ///< numbers from one query row to the next
  int64_t heads = 0;         ///< query heads that share the key-value head; they lie side by side
  int64_t head_dim = 0;
  int64_t value_dim = 0;  ///< numbers of a value, and of a head's output: as head_dim says for keys
  const std::byte* const* key_blocks = nullptr;  ///< one pointer a block, at this key-value head
  const std::byte* const* value_blocks = nullptr;
  int64_t block_tokens = 0;
  KvFormat format = KvFormat::kFloat32;
  int64_t first_position =
      0;               ///< position of the first query row; row r attends to positions 0..first_position + r
  int64_t window = 0;  ///< and only to the last `window` of them; 0: all
  float scale = 1.0f;
  /// [heads]: what stands beside each head's scores in its softmax and takes its share of the weights, but
  /// has no value (attention sinks, arXiv 2309.17453); nullptr: nothing does.
  const float* sinks = nullptr;
  float* out = nullptr;  ///< laid out as the queries, a head value_dim wide; does not overlap them
  int64_t out_stride = 0;
};

}  // namespace conclave::engine
