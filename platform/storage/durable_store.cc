#include "platform/storage/durable_store.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>

#include "platform/storage/private_folder.h"
#include "platform/storage/rocksdb_status.h"

namespace conclave::platform {
namespace {

/// Of a large disk; of a small one it is a tenth.
constexpr uint64_t kMostDiskReserveBytes = 64u << 20;

rocksdb::Slice ToSlice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

rocksdb::Options ToRocksDbOptions(const DurableStoreOptions& options) {
  rocksdb::Options result;
  result.create_if_missing = true;
  result.write_buffer_size = options.write_buffer_bytes;
  result.max_open_files = 256;
  result.max_background_jobs = 2;
  result.max_file_opening_threads = 1;  // more are started without a look at whether the system gives them
  result.keep_log_file_num = 2;
  result.max_log_file_size = 1u << 20;
  result.info_log_level = rocksdb::WARN_LEVEL;
  // A half-written last record was never acknowledged and may go; damage before it must be reported.
  result.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  if (options.large_value_bytes > 0) {
    result.enable_blob_files = true;
    result.min_blob_size = options.large_value_bytes;
    result.blob_file_size = options.write_buffer_bytes;
    result.enable_blob_garbage_collection = true;
  }
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
  result.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return result;
}

rocksdb::ReadOptions ReadAsOf(const rocksdb::Snapshot* snapshot) {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  return options;
}

rocksdb::WriteOptions WriteWith(Durability durability) {
  rocksdb::WriteOptions options;
  options.sync = durability == Durability::kSync;
  return options;
}

/// Puts the iterator on the first entry of the scan, or behind its end.
void SeekToStart(const ScanOptions& options, rocksdb::Iterator* iterator) {
  if (!options.reverse) return iterator->Seek(ToSlice(std::max(options.prefix, options.from_key)));
  const std::string end = PrefixEnd(options.prefix);
  if (!options.from_key.empty() && (end.empty() || options.from_key < end)) {
    return iterator->SeekForPrev(ToSlice(options.from_key));
  }
  if (end.empty()) return iterator->SeekToLast();
  iterator->SeekForPrev(end);
  if (iterator->Valid() && ToView(iterator->key()) == end) iterator->Prev();
}

}  // namespace

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xFF) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

WriteBatch::WriteBatch() : batch_(std::make_unique<rocksdb::WriteBatch>()) {}
WriteBatch::WriteBatch(WriteBatch&&) noexcept = default;
WriteBatch& WriteBatch::operator=(WriteBatch&&) noexcept = default;
WriteBatch::~WriteBatch() = default;

void WriteBatch::Put(std::string_view key, std::string_view value) {
  batch_->Put(ToSlice(key), ToSlice(value));
}
void WriteBatch::Delete(std::string_view key) { batch_->Delete(ToSlice(key)); }
void WriteBatch::DeletePrefix(std::string_view prefix) {
  const std::string end = PrefixEnd(prefix);
  assert(!end.empty());
  batch_->DeleteRange(ToSlice(prefix), end);
}
void WriteBatch::Clear() { batch_->Clear(); }
size_t WriteBatch::operations() const { return static_cast<size_t>(batch_->Count()); }
size_t WriteBatch::bytes() const { return batch_->GetDataSize(); }

StoreSnapshot::StoreSnapshot(StoreSnapshot&& other) noexcept
    : database_(other.database_), snapshot_(std::exchange(other.snapshot_, nullptr)) {}
StoreSnapshot::~StoreSnapshot() {
  if (snapshot_ != nullptr) database_->ReleaseSnapshot(snapshot_);
}

DurableStore::DurableStore(std::filesystem::path path, std::unique_ptr<rocksdb::DB> database)
    : path_(std::move(path)), database_(std::move(database)) {}

DurableStore::~DurableStore() { (void)database_->Close(); }

Result<std::unique_ptr<DurableStore>> DurableStore::Open(const std::filesystem::path& path,
                                                         const DurableStoreOptions& options) {
  CONCLAVE_RETURN_IF_ERROR(MakePrivateFolder(path));
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status opened = rocksdb::DB::Open(ToRocksDbOptions(options), path.string(), &raw);
  if (!opened.ok()) return FromRocksDbOpen(opened, path);
  return std::unique_ptr<DurableStore>(new DurableStore(path, std::unique_ptr<rocksdb::DB>(raw)));
}

Result<std::optional<std::string>> DurableStore::Get(std::string_view key,
                                                     const StoreSnapshot* snapshot) const {
  std::string value;
  const rocksdb::Status status =
      database_->Get(ReadAsOf(snapshot == nullptr ? nullptr : snapshot->snapshot_), ToSlice(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return FromRocksDb(status, path_);
  return std::optional<std::string>(std::move(value));
}

/// Keeps room for what the store does by itself. RocksDB, as Debian builds it, ends the process with an
/// assertion when it goes on after a log that could not be written; so the disk must not become full under
/// it.
Status DurableStore::CheckRoom(size_t bytes) const {
  struct statvfs disk{};
  if (statvfs(path_.c_str(), &disk) != 0) return Status::Ok();  // the write itself will tell
  const uint64_t free = uint64_t{disk.f_bavail} * disk.f_frsize;
  const uint64_t kept = std::min(kMostDiskReserveBytes, uint64_t{disk.f_blocks} * disk.f_frsize / 10);
  if (free >= kept + bytes) return Status::Ok();
  return ResourceExhausted("the disk that holds " + path_.string() + " is full (" +
                           std::to_string(free >> 20) + " MB are free, and the store keeps " +
                           std::to_string((kept >> 20) + 1) +
                           " MB for its own upkeep); nothing of this change was kept: free some space");
}

Status DurableStore::Write(WriteBatch&& batch, Durability durability) {
  if (batch.batch_->HasPut()) CONCLAVE_RETURN_IF_ERROR(CheckRoom(batch.bytes()));
  return FromRocksDb(database_->Write(WriteWith(durability), batch.batch_.get()), path_);
}

Status DurableStore::Put(std::string_view key, std::string_view value, Durability durability) {
  CONCLAVE_RETURN_IF_ERROR(CheckRoom(key.size() + value.size()));
  return FromRocksDb(database_->Put(WriteWith(durability), ToSlice(key), ToSlice(value)), path_);
}

Status DurableStore::Delete(std::string_view key, Durability durability) {
  return FromRocksDb(database_->Delete(WriteWith(durability), ToSlice(key)), path_);
}

Status DurableStore::Scan(const ScanOptions& options, const Visitor& visit) const {
  const std::unique_ptr<rocksdb::Iterator> iterator(
      database_->NewIterator(ReadAsOf(options.snapshot == nullptr ? nullptr : options.snapshot->snapshot_)));
  for (SeekToStart(options, iterator.get()); iterator->Valid();) {
    const std::string_view key = ToView(iterator->key());
    if (!key.starts_with(options.prefix) || !visit(key, ToView(iterator->value()))) break;
    options.reverse ? iterator->Prev() : iterator->Next();
  }
  return FromRocksDb(iterator->status(), path_);
}

StoreSnapshot DurableStore::TakeSnapshot() const { return {database_.get(), database_->GetSnapshot()}; }

Status DurableStore::Sync() { return FromRocksDb(database_->SyncWAL(), path_); }

Status DurableStore::TryResume() { return FromRocksDb(database_->Resume(), path_); }

}  // namespace conclave::platform
