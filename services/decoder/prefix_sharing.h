#pragma once

#include <cstdint>
#include <string>

#include "engine/cache/prefix_cache.h"
#include "services/decoder/sequence.h"

namespace conclave::decoder {

struct PrefixStatus {
  int64_t bytes_used = 0;
  int64_t hits = 0;       ///< sequences that began with cached blocks
  int64_t misses = 0;     ///< those that did not
  int64_t evictions = 0;  ///< blocks
};

/// Gives sequences their place in the cache, with what earlier ones of the same tenant, model and adapter
/// computed, and of nobody else. Used by one thread; must not outlive the pool.
class PrefixSharing {
 public:
  /// `bytes`: the cache's budget; 0: nothing is shared.
  PrefixSharing(engine::KvPool& pool, int64_t bytes, std::string model_hash);

  /// Makes `cache` (empty) begin with the cached part of the prompt, and reserves the longest answer; old
  /// prefixes are evicted where that needs room. False, with `cache` empty, when there is no room yet.
  bool Place(const SequenceRequest& request, engine::KvSequence& cache);

  /// Remembers the whole blocks that a sequence has computed so far.
  void Keep(const Sequence& sequence);

  /// Whether `running` is about to compute whole blocks that `request` can then take over: the request had
  /// better wait.
  bool Prepares(const Sequence& running, const SequenceRequest& request) const;

  PrefixStatus Snapshot() const;

 private:
  std::string Salt(const SequenceRequest& request) const;

  engine::PrefixCache prefixes_;
  std::string model_hash_;
  int64_t hits_ = 0;
  int64_t misses_ = 0;
};

}  // namespace conclave::decoder
