#include "engine/kernels/kv_storage.h"

#include <cstring>

#include "engine/kernels/kernels.h"

namespace conclave::engine {

int64_t KvHeadBytes(KvFormat format, int64_t head_dim, int64_t block_tokens) {
  switch (format) {
    case KvFormat::kBrainPairs: return block_tokens * head_dim * 2;
    case KvFormat::kInt8: return block_tokens * (head_dim + static_cast<int64_t>(sizeof(float)));
    case KvFormat::kFloat32: break;
  }
  return block_tokens * head_dim * 4;
}

void StoreKeyPairs(const float* key, int64_t head_dim, int64_t token, int64_t block_tokens,
                   std::byte* block) {
  uint16_t numbers[kMostPairedHeadDim];
  BestKernels().to_brain(key, head_dim, numbers);
  for (int64_t i = 0; i < head_dim; i += 2) {
    std::memcpy(block + (i / 2 * block_tokens + token) * 4, numbers + i, 4);
  }
}

void StoreValuePairs(const float* value, int64_t head_dim, int64_t token, std::byte* block) {
  uint16_t numbers[kMostPairedHeadDim];
  BestKernels().to_brain(value, head_dim, numbers);
  std::byte* at = block + (token / 2 * head_dim) * 4 + token % 2 * 2;
  for (int64_t i = 0; i < head_dim; ++i) std::memcpy(at + i * 4, numbers + i, 2);
}

namespace {

void StoreScale(float scale, int64_t head_dim, int64_t token, int64_t block_tokens, std::byte* block) {
  std::memcpy(block + block_tokens * head_dim + token * 4, &scale, sizeof scale);
}

}  // namespace

void StoreKeyBytes(const float* key, int64_t head_dim, int64_t token, int64_t block_tokens,
                   std::byte* block) {
  int8_t numbers[kQuantisedHeadRoom];
  StoreScale(BestKernels().quantise_head(key, head_dim, numbers), head_dim, token, block_tokens, block);
  for (int64_t i = 0; i < head_dim; i += 4) {
    uint32_t word;
    std::memcpy(&word, numbers + i, sizeof word);
    std::memcpy(block + (i / 4 * block_tokens + token) * 4, &word, sizeof word);
  }
}

void StoreValueBytes(const float* value, int64_t head_dim, int64_t token, int64_t block_tokens,
                     std::byte* block) {
  int8_t numbers[kQuantisedHeadRoom];
  StoreScale(BestKernels().quantise_head(value, head_dim, numbers), head_dim, token, block_tokens, block);
  std::byte* at = block + token / 4 * head_dim * 4 + token % 4;
  for (int64_t i = 0; i < head_dim; ++i) at[i * 4] = static_cast<std::byte>(numbers[i]);
}

void StoreKv(KvFormat format, bool values, const float* x, int64_t head_dim, int64_t token,
             int64_t block_tokens, std::byte* block) {
  switch (format) {
    case KvFormat::kFloat32:
      std::memcpy(block + token * head_dim * 4, x, static_cast<size_t>(head_dim) * sizeof(float));
      return;
    case KvFormat::kBrainPairs:
      return values ? StoreValuePairs(x, head_dim, token, block)
                    : StoreKeyPairs(x, head_dim, token, block_tokens, block);
    case KvFormat::kInt8:
      return values ? StoreValueBytes(x, head_dim, token, block_tokens, block)
                    : StoreKeyBytes(x, head_dim, token, block_tokens, block);
  }
}

}  // namespace conclave::engine
