#pragma once

#include <cstdint>
#include <span>

#include "engine/cache/kv_cache.h"

namespace conclave::engine {

/// The new tokens of one sequence in one step. Its cache must have room for them; they take the positions
/// that follow the cache's length.
struct SequenceStep {
  KvSequence* cache = nullptr;
  std::span<const int32_t> tokens;
  /// For how many of the last tokens logits are wanted: 0 in the middle of a prompt, 1 to sample, all to
  /// score.
  int64_t logits_rows = 0;
};

}  // namespace conclave::engine
