#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave::engine {

// Writes one token's key or value of one head into a block of pairs, as AttentionTask reads it: rounded to
// bfloat16, ties to even. `token` is the place within the block; nothing of other tokens is touched. head_dim
// is even and at most kMostPairedHeadDim. Different tokens of one block may be written at once.

void StoreKeyPairs(const float* key, int64_t head_dim, int64_t token, int64_t block_tokens, std::byte* block);
void StoreValuePairs(const float* value, int64_t head_dim, int64_t token, std::byte* block);

}  // namespace conclave::engine
