#include "engine/kernels/kv_storage.h"

#include <cstring>

#include "engine/kernels/kernels.h"

namespace conclave::engine {

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

}  // namespace conclave::engine
