#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rocksdb {
class DB;
class Snapshot;
class WriteBatch;
}  // namespace rocksdb

namespace conclave::platform {

/// How far a write must have come before Write() returns.
enum class Durability {
  /// On disk (fsync of the write-ahead log): survives kill -9 and power loss.
  kSync,
  /// With the operating system: survives kill -9 of this process, not power loss.
  kAsync,
};

/// Changes that are applied together or not at all, in order. Not thread-safe.
class WriteBatch {
 public:
  WriteBatch();
  WriteBatch(WriteBatch&&) noexcept;
  WriteBatch& operator=(WriteBatch&&) noexcept;
  ~WriteBatch();

  void Put(std::string_view key, std::string_view value);
  void Delete(std::string_view key);
  /// Deletes every key that starts with `prefix`, which must have a byte below 0xFF.
  void DeletePrefix(std::string_view prefix);
  void Clear();

  size_t operations() const;
  /// Bytes of keys, values and their framing.
  size_t bytes() const;
  bool empty() const { return operations() == 0; }

 private:
  friend class DurableStore;
  std::unique_ptr<rocksdb::WriteBatch> batch_;
};

/// A consistent view of a store at one moment. Must not outlive its store. Any thread may use it.
class StoreSnapshot {
 public:
  StoreSnapshot(StoreSnapshot&&) noexcept;
  StoreSnapshot& operator=(StoreSnapshot&&) = delete;
  ~StoreSnapshot();

 private:
  friend class DurableStore;
  StoreSnapshot(rocksdb::DB* database, const rocksdb::Snapshot* snapshot)
      : database_(database), snapshot_(snapshot) {}

  rocksdb::DB* database_;
  const rocksdb::Snapshot* snapshot_;
};

struct DurableStoreOptions {
  size_t block_cache_bytes = 16u << 20;
  size_t write_buffer_bytes = 16u << 20;
  /// Values of this size and more, in bytes, are kept as they are in files beside the sorted ones, which are
  /// not rewritten with every merge; 0: none are.
  size_t large_value_bytes = 0;
};

/// Where a scan starts and what it reads.
struct ScanOptions {
  /// Only keys that start with this; empty: all.
  std::string_view prefix = {};
  /// Start at the first key at or after this one; empty: at the prefix.
  std::string_view from_key = {};
  /// From the last key to the first; `from_key` is then the first key at or before which the scan starts.
  bool reverse = false;
  /// Read as of this moment; null: as of the start of the scan.
  const StoreSnapshot* snapshot = nullptr;
};

/// An ordered map of byte strings on disk (RocksDB): the one place where what must survive is kept. Keys are
/// ordered as unsigned bytes. Any thread may call any method; one process at a time may hold a path.
///
/// Errors of every method: DATA_LOSS (a checksum does not fit: the files are damaged), RESOURCE_EXHAUSTED
/// (less than a tenth of the disk, or 64 MiB, would stay free; nothing of the batch is acknowledged),
/// UNAVAILABLE (another input or output error). After an error of a write the store refuses further writes
/// until TryResume() succeeds.
class DurableStore {
 public:
  /// Returns false to end a scan. The views are valid only during the call. It must not throw.
  using Visitor = std::function<bool(std::string_view key, std::string_view value)>;

  /// Opens the store in the folder `path`, and makes it (with its parents) when it is not there.
  /// Errors: FAILED_PRECONDITION (another process has it open; the folder may not be written), DATA_LOSS,
  /// RESOURCE_EXHAUSTED.
  static Result<std::unique_ptr<DurableStore>> Open(const std::filesystem::path& path,
                                                    const DurableStoreOptions& options = {});
  /// Flushes and closes; no other thread may be inside a method.
  ~DurableStore();
  DurableStore(const DurableStore&) = delete;
  DurableStore& operator=(const DurableStore&) = delete;

  /// The value, or nothing when there is no such key.
  Result<std::optional<std::string>> Get(std::string_view key, const StoreSnapshot* snapshot = nullptr) const;

  /// Applies the batch. Concurrent kSync writes share one fsync.
  Status Write(WriteBatch&& batch, Durability durability);
  Status Put(std::string_view key, std::string_view value, Durability durability);
  Status Delete(std::string_view key, Durability durability);

  /// Calls `visit` for each key in order. Changes made during the scan are not seen.
  Status Scan(const ScanOptions& options, const Visitor& visit) const;

  StoreSnapshot TakeSnapshot() const;

  /// Makes all that was written with kAsync as safe as kSync.
  Status Sync();

  /// Accepts writes again after an error such as a full disk has gone.
  Status TryResume();

  const std::filesystem::path& path() const { return path_; }

 private:
  Status CheckRoom(size_t bytes) const;
  DurableStore(std::filesystem::path path, std::unique_ptr<rocksdb::DB> database);

  std::filesystem::path path_;
  std::unique_ptr<rocksdb::DB> database_;
};

/// The smallest key that is greater than every key with this prefix; empty when there is none.
std::string PrefixEnd(std::string_view prefix);

}  // namespace conclave::platform
