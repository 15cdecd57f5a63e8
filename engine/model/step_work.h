#pragma once

#include <cstdint>
#include <functional>

#include "engine/parallel/thread_pool.h"
#include "engine/tensor/aligned_vector.h"

namespace conclave::engine {

/// Below this many tokens, per-token work costs less than a meeting of the threads.
inline constexpr int64_t kTokensWorthSharing = 8;

/// Makes room for `size` numbers; a buffer that is kept from step to step never shrinks.
inline void Grow(AlignedVector<float>& buffer, int64_t size) {
  if (buffer.size() < static_cast<size_t>(size)) buffer.resize(size);
}

/// task(begin, end) over all tokens, by the pool's members where there are enough.
inline void ForTokens(ThreadPool& pool, int64_t tokens, const std::function<void(int64_t, int64_t)>& task) {
  if (tokens < kTokensWorthSharing) {
    task(0, tokens);
  } else {
    pool.ParallelFor(tokens, 1, task);
  }
}

}  // namespace conclave::engine
