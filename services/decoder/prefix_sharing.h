#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/cache/prefix_cache.h"
#include "services/decoder/kv_block_keys.h"
#include "services/decoder/kv_disk_tier.h"
#include "services/decoder/sequence.h"

namespace conclave::decoder {

struct PrefixStatus {
  int64_t bytes_used = 0;
  int64_t hits = 0;       ///< sequences that began with cached blocks
  int64_t misses = 0;     ///< those that did not
  int64_t evictions = 0;  ///< blocks
};

struct PrefixDiskStatus {
  int64_t bytes_used = 0;
  int64_t hits = 0;    ///< sequences that blocks from disk continued
  int64_t misses = 0;  ///< those with whole blocks left to compute for which it had none
  int64_t evictions = 0;
  int64_t errors = 0;
};

/// The blocks that a request's answers, or beams, which share those that the prompt fills, take at most.
/// Beams never take more while they run (BeamGroup).
int64_t BlocksFor(const SequenceRequest& request);

/// Gives sequences their place in the cache, with what earlier ones of the same tenant, model and adapter
/// computed, and of nobody else. Blocks that leave memory go to disk, if there is room for them on the way,
/// and come back from there to sequences that the cache in memory helps no further. Used by one thread; must
/// not outlive the pool.
class PrefixSharing {
 public:
  /// `bytes`: the cache's budget; 0: nothing is shared. `disk` may be null.
  PrefixSharing(engine::KvPool& pool, int64_t bytes, std::string model_hash,
                std::shared_ptr<KvDiskTier> disk = nullptr);

  /// A place for each of the request's answers, in order, or for each of its beams; none when there is no
  /// room yet for all. The first begins with the cached part of the prompt and has room for the rest and the
  /// longest answer; the others have room for what they do not share with it once the prompt is computed. Old
  /// prefixes are evicted where that needs room.
  std::vector<engine::KvSequence> Place(const SequenceRequest& request);

  /// Starts to read what the disk has of the blocks that follow those the sequence holds, if any.
  void StartLoad(Sequence& sequence);
  /// Ends the sequence's load, and counts what came as its own; how many tokens.
  int64_t FinishLoad(Sequence& sequence);

  /// Writes to disk what memory holds, the last used first, for `longest` at most.
  void Save(std::chrono::milliseconds longest);

  /// Remembers the whole blocks that a sequence has computed so far.
  void Keep(const Sequence& sequence);

  /// Whether `running` is about to compute whole blocks that `request` can then take over: the request had
  /// better wait.
  bool Prepares(const Sequence& running, const SequenceRequest& request) const;

  PrefixStatus Snapshot() const;
  PrefixDiskStatus DiskSnapshot() const;

 private:
  std::string Salt(const SequenceRequest& request) const;
  std::span<const std::byte> BytesOf(int32_t block);
  void MoveToDisk(std::string_view salt, std::span<const int32_t> tokens, int32_t block);

  engine::KvPool& pool_;
  std::shared_ptr<KvDiskTier> disk_;
  KvBlockKeys keys_;
  engine::PrefixCache prefixes_;
  std::string model_hash_;
  int64_t hits_ = 0;
  int64_t misses_ = 0;
  int64_t disk_hits_ = 0;
  int64_t disk_misses_ = 0;
};

}  // namespace conclave::decoder
