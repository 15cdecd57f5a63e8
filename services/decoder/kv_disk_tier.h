#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "services/decoder/kv_disk_store.h"

namespace conclave::decoder {

/// Blocks on their way from disk into a sequence's cache. Once it is destroyed or has ended, nothing writes
/// into the blocks any more: whoever owns them may give them back. Used by one thread.
class KvDiskLoad {
 public:
  struct State;
  explicit KvDiskLoad(std::shared_ptr<State> state) : state_(std::move(state)) {}
  ~KvDiskLoad() { (void)End(); }
  KvDiskLoad(const KvDiskLoad&) = delete;
  KvDiskLoad& operator=(const KvDiskLoad&) = delete;

  /// Nothing more will come.
  bool Done() const;
  /// Stops it; how many blocks were filled, from the first on. Waits for the copy of one block at most.
  int64_t End();

 private:
  std::shared_ptr<State> state_;
};

/// Reads and writes blocks of a KvDiskStore on a thread of its own, reads first. After a failure of the store
/// it does neither for kDiskRestMs, says so once in the log, and counts it: a request never fails by it.
/// All methods but Wake are for one thread, the scheduler's.
class KvDiskTier {
 public:
  /// Errors: RESOURCE_EXHAUSTED (the system gives no thread).
  static Result<std::unique_ptr<KvDiskTier>> Start(std::unique_ptr<KvDiskStore> store);
  ~KvDiskTier();
  KvDiskTier(const KvDiskTier&) = delete;
  KvDiskTier& operator=(const KvDiskTier&) = delete;

  /// `wake` is called by the tier's thread whenever a load is done; to be set before the first one.
  void OnLoaded(std::function<void()> wake) { wake_ = std::move(wake); }

  const KvDiskStore& store() const { return *store_; }
  int64_t errors() const { return errors_; }

  /// Fills `blocks[i]` (`block_bytes` each) with the value of `keys[first + i]` in order, up to the first
  /// that is not there, and counts all keys to there as used: `keys` are a text's, from its beginning. The
  /// blocks must stay until the load is destroyed or ended.
  std::unique_ptr<KvDiskLoad> Load(std::vector<std::string> keys, size_t first,
                                   std::vector<std::byte*> blocks, size_t block_bytes);

  /// Whether Write would take a block now: it waits for none.
  bool TakesWrites(size_t bytes) const;
  /// Copies the block, and writes it later.
  void Write(std::string key, std::span<const std::byte> block);

  /// Waits until all that was asked for is done.
  void WaitIdle();

  /// For the end: writes on the caller's thread, when all else is done. False when the store failed.
  bool WriteNow(const std::string& key, std::span<const std::byte> block);
  /// For the end too: the first of `keys` counts as used last.
  void TouchNow(std::span<const std::string> keys);

 private:
  struct Block {
    std::string key;
    std::vector<std::byte> bytes;
  };

  explicit KvDiskTier(std::unique_ptr<KvDiskStore> store) : store_(std::move(store)) {}

  void Run();
  bool Put(const std::string& key, std::span<const std::byte> block);
  void Read(KvDiskLoad::State& load);
  bool Rests() const { return Now() < rests_until_ms_; }
  void Note(const Status& status);
  static int64_t Now();

  std::unique_ptr<KvDiskStore> store_;
  std::function<void()> wake_;
  std::atomic<int64_t> errors_ = 0;
  std::atomic<int64_t> rests_until_ms_ = 0;
  bool logged_ = false;  ///< whether the failure that lasts was

  mutable std::mutex mutex_;  ///< guards what follows
  std::condition_variable changed_;
  std::deque<std::shared_ptr<KvDiskLoad::State>> loads_;
  std::deque<Block> writes_;
  size_t waiting_bytes_ = 0;
  bool busy_ = false;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace conclave::decoder
