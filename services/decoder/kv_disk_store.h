#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "base/result.h"
#include "platform/storage/durable_store.h"

namespace conclave::decoder {

struct KvDiskBudget {
  int64_t bytes = 0;
  int64_t entries = 0;
};

/// Blocks of keys and values on disk, by digest: a bounded map whose entry that was used longest ago goes
/// first, also after a restart. A value is kept with its SHA-256; one that does not fit it is forgotten.
/// Which entries there are is known in memory, about 150 bytes each, and read at the start without their
/// values.
///
/// One thread at a time reads and writes; any thread may call Contains, bytes and evictions meanwhile.
class KvDiskStore {
 public:
  /// Opens the store in `folder`, or makes it; only its owner may enter. What exceeds the budget goes at
  /// once. Errors: those of DurableStore::Open.
  static Result<std::unique_ptr<KvDiskStore>> Open(const std::filesystem::path& folder,
                                                   const KvDiskBudget& budget);

  virtual ~KvDiskStore() = default;

  bool Contains(const std::string& key) const;

  /// Keeps `value` unless the key is known or the value alone exceeds the budget. Errors:
  /// DurableStore::Write's.
  virtual Status Put(const std::string& key, std::span<const std::byte> value);

  /// Fills `value`. False, with `value` undefined, when there is no such entry, or none of this size with its
  /// digest: then it is deleted, and the first one of its kind logged. Errors: the store's.
  virtual Result<bool> Get(const std::string& key, std::span<std::byte> value);

  /// Counts as used now those of `keys` that are there, the first of them last: of a text's blocks the last
  /// has to go first. Errors: DurableStore::Write's.
  Status Touch(std::span<const std::string> keys);

  /// Accepts writes again after an error has gone.
  Status TryResume() { return store_->TryResume(); }

  int64_t bytes() const;
  int64_t entries() const;
  /// Entries that the budget or damage removed since the start.
  int64_t evictions() const;

 protected:
  KvDiskStore(std::unique_ptr<platform::DurableStore> store, const KvDiskBudget& budget)
      : store_(std::move(store)), budget_(budget) {}

 private:
  struct Entry {
    std::string key;
    int64_t bytes = 0;
    uint64_t use = 0;  ///< greater: later
  };
  using Entries = std::list<Entry>;

  Status ReadIndex();
  void MakeRoom(int64_t bytes, platform::WriteBatch& batch);
  void Forget(Entries::iterator entry, platform::WriteBatch& batch);

  std::unique_ptr<platform::DurableStore> store_;
  KvDiskBudget budget_;
  bool logged_damage_ = false;
  uint64_t next_use_ = 1;

  mutable std::mutex mutex_;  ///< guards what follows; not held while the disk is used
  Entries entries_;           ///< last used first
  std::map<std::string, Entries::iterator, std::less<>> by_key_;
  int64_t bytes_ = 0;
  int64_t evictions_ = 0;
};

}  // namespace conclave::decoder
