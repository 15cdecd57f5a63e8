#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace conclave::platform {

/// A key that List() found.
struct StateEntry {
  std::string key;
  std::string value;
};

/// State that the processes of one installation share and may lose without losing a promise: sessions, rate
/// limits, the shard registry, hand-off queues. Two implementations behave alike: RocksDB (one process) and
/// Redis (many); tests/unit/platform/state_store_test.cc runs one suite against both.
///
/// Keys and values are any bytes; a key is 1 to kMaxStateKeyBytes long, a value at most kMaxStateValueBytes,
/// else INVALID_ARGUMENT. `ttl_ms` is how long an entry lives, in milliseconds; 0 is forever, negative is
/// INVALID_ARGUMENT. An expired entry is never seen. Plain entries, counters and queues share no keys: each
/// has its own name space. Any thread may call; each call blocks for at most the configured timeout. Errors
/// of every method: UNAVAILABLE (the store cannot be reached; nothing is known about whether a change was
/// made), RESOURCE_EXHAUSTED, DATA_LOSS.
class StateStore {
 public:
  virtual ~StateStore() = default;

  /// The value, or nothing when there is no such key.
  virtual Result<std::optional<std::string>> Get(std::string_view key) = 0;

  virtual Status Put(std::string_view key, std::string_view value, int64_t ttl_ms) = 0;

  /// Whether there was something to delete.
  virtual Result<bool> Delete(std::string_view key) = 0;

  /// Replaces the value if it is `expected` (nothing: if there is no such key), atomically. Returns whether
  /// it did.
  virtual Result<bool> CompareAndSwap(std::string_view key, const std::optional<std::string>& expected,
                                      std::string_view desired, int64_t ttl_ms) = 0;

  /// Adds to a counter, which starts at 0, atomically; returns the new count. `ttl_ms` holds from the moment
  /// the counter comes into being and is not prolonged by later calls. OUT_OF_RANGE when the sum does not fit
  /// 64 bits.
  virtual Result<int64_t> Increment(std::string_view counter, int64_t by, int64_t ttl_ms) = 0;

  /// At most `limit` entries whose key starts with `prefix` and comes after `after_key`, in byte order of
  /// their keys. `limit` is 1 to kMaxStateListEntries, else INVALID_ARGUMENT.
  virtual Result<std::vector<StateEntry>> List(std::string_view prefix, std::string_view after_key,
                                               size_t limit) = 0;

  /// Adds a value at the end of a queue. RESOURCE_EXHAUSTED when it holds `max_length` values already.
  virtual Status Append(std::string_view queue, std::string_view value, size_t max_length) = 0;

  /// Takes up to `limit` values from the front of a queue, oldest first. What was taken is gone.
  virtual Result<std::vector<std::string>> Pop(std::string_view queue, size_t limit) = 0;

  virtual Result<size_t> QueueLength(std::string_view queue) = 0;

  /// Ok when the store answers.
  virtual Status Ping() = 0;
};

}  // namespace conclave::platform
