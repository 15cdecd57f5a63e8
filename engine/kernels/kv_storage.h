#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/attention_task.h"

namespace conclave::engine {

// Writes one token's key or value of one head into a block, as AttentionTask reads it (KvFormat says which
// head_dim and block_tokens are possible). `token` is the place within the block; nothing of other tokens is
// touched. Different tokens of one block may be written at once.

/// The bytes of a block of keys, or values, of one head.
int64_t KvHeadBytes(KvFormat format, int64_t head_dim, int64_t block_tokens);

/// Whichever of the functions below `format` and `values` ask for; float32 as it is.
void StoreKv(KvFormat format, bool values, const float* x, int64_t head_dim, int64_t token,
             int64_t block_tokens, std::byte* block);

/// Pairs: rounded to bfloat16, ties to even.
void StoreKeyPairs(const float* key, int64_t head_dim, int64_t token, int64_t block_tokens, std::byte* block);
void StoreValuePairs(const float* value, int64_t head_dim, int64_t token, std::byte* block);

/// 8 bits: rounded as Kernels::quantise_head does.
void StoreKeyBytes(const float* key, int64_t head_dim, int64_t token, int64_t block_tokens, std::byte* block);
void StoreValueBytes(const float* value, int64_t head_dim, int64_t token, int64_t block_tokens,
                     std::byte* block);

}  // namespace conclave::engine
