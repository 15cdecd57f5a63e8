#include <algorithm>
#include <mutex>
#include <utility>

#include "platform/state/limits.h"
#include "platform/state/open_state_store.h"
#include "platform/storage/durable_store.h"

namespace conclave::platform {
namespace {

// Keys on disk: 'k' + key and 'c' + counter hold the expiry (8 bytes, big-endian; 0: never) and the value;
// 'x' + expiry + such a key is the index of what will expire; 'm' + queue holds the numbers of the first and
// the next value; 'q' + length of the queue's name (2 bytes) + name + number holds a value.
constexpr char kEntry = 'k';
constexpr char kCounter = 'c';
constexpr char kExpiry = 'x';
constexpr char kQueueEnds = 'm';
constexpr char kQueueValue = 'q';
/// How many expired entries each write clears away: more than it can add.
constexpr int kPurgedPerWrite = 8;

void AppendBigEndian(uint64_t value, int bytes, std::string* out) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

uint64_t ReadBigEndian(std::string_view text) {
  uint64_t value = 0;
  for (const unsigned char byte : text.substr(0, 8)) value = value << 8 | byte;
  return value;
}

std::string BigEndian(uint64_t value) {
  std::string text;
  AppendBigEndian(value, 8, &text);
  return text;
}

std::string DiskKey(char kind, std::string_view key) { return std::string(1, kind).append(key); }

std::string ExpiryKey(uint64_t expiry, std::string_view disk_key) {
  return DiskKey(kExpiry, BigEndian(expiry)).append(disk_key);
}

std::string QueuePrefix(std::string_view queue) {
  std::string prefix(1, kQueueValue);
  AppendBigEndian(queue.size(), 2, &prefix);
  return prefix.append(queue);
}

/// A value with the moment from which it is gone (0: never).
struct Record {
  uint64_t expiry = 0;
  std::string value;
};

class RocksDbStateStore final : public StateStore {
 public:
  RocksDbStateStore(std::unique_ptr<DurableStore> store, MillisecondClock now_ms)
      : store_(std::move(store)), now_ms_(std::move(now_ms)) {}

  Result<std::optional<std::string>> Get(std::string_view key) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateKey(key));
    CONCLAVE_ASSIGN_OR_RETURN(auto record, ReadLive(DiskKey(kEntry, key)));
    if (!record) return std::optional<std::string>();
    return std::optional<std::string>(std::move(record->value));
  }

  Status Put(std::string_view key, std::string_view value, int64_t ttl_ms) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateEntry(key, value, ttl_ms));
    std::lock_guard lock(mutex_);
    return ReplaceLocked(DiskKey(kEntry, key), value, ExpiryAfter(ttl_ms));
  }

  Result<bool> Delete(std::string_view key) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateKey(key));
    std::lock_guard lock(mutex_);
    const std::string disk_key = DiskKey(kEntry, key);
    CONCLAVE_ASSIGN_OR_RETURN(const auto record, ReadLive(disk_key));
    WriteBatch batch;
    CONCLAVE_RETURN_IF_ERROR(DropLocked(disk_key, &batch));
    CONCLAVE_RETURN_IF_ERROR(CommitLocked(std::move(batch)));
    return record.has_value();
  }

  Result<bool> CompareAndSwap(std::string_view key, const std::optional<std::string>& expected,
                              std::string_view desired, int64_t ttl_ms) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateEntry(key, desired, ttl_ms));
    std::lock_guard lock(mutex_);
    const std::string disk_key = DiskKey(kEntry, key);
    CONCLAVE_ASSIGN_OR_RETURN(const auto record, ReadLive(disk_key));
    const bool fits = record.has_value() == expected.has_value() && (!record || record->value == *expected);
    if (!fits) return false;
    CONCLAVE_RETURN_IF_ERROR(ReplaceLocked(disk_key, desired, ExpiryAfter(ttl_ms)));
    return true;
  }

  Result<int64_t> Increment(std::string_view counter, int64_t by, int64_t ttl_ms) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateEntry(counter, {}, ttl_ms));
    std::lock_guard lock(mutex_);
    const std::string disk_key = DiskKey(kCounter, counter);
    CONCLAVE_ASSIGN_OR_RETURN(const auto record, ReadLive(disk_key));
    const int64_t before = record ? static_cast<int64_t>(ReadBigEndian(record->value)) : 0;
    int64_t after = 0;
    if (__builtin_add_overflow(before, by, &after)) return OutOfRange("the counter would not fit 64 bits");
    const uint64_t expiry = record ? record->expiry : ExpiryAfter(ttl_ms);
    CONCLAVE_RETURN_IF_ERROR(ReplaceLocked(disk_key, BigEndian(static_cast<uint64_t>(after)), expiry));
    return after;
  }

  Result<std::vector<StateEntry>> List(std::string_view prefix, std::string_view after_key,
                                       size_t limit) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateLimit(limit));
    std::vector<StateEntry> entries;
    const uint64_t now = static_cast<uint64_t>(now_ms_());
    const std::string disk_prefix = DiskKey(kEntry, prefix);
    const std::string from = DiskKey(kEntry, after_key);
    const ScanOptions options{.prefix = disk_prefix, .from_key = from};
    CONCLAVE_RETURN_IF_ERROR(store_->Scan(options, [&](std::string_view key, std::string_view value) {
      if (key == from && !after_key.empty()) return true;
      const uint64_t expiry = ReadBigEndian(value);
      if (expiry != 0 && expiry <= now) return true;
      entries.push_back({std::string(key.substr(1)), std::string(value.substr(8))});
      return entries.size() < limit;
    }));
    return entries;
  }

  Status Append(std::string_view queue, std::string_view value, size_t max_length) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateEntry(queue, value, 0));
    std::lock_guard lock(mutex_);
    CONCLAVE_ASSIGN_OR_RETURN(QueueEnds ends, ReadEnds(queue));
    if (ends.length() >= max_length) {
      return ResourceExhausted("the queue holds " + std::to_string(ends.length()) + " values already");
    }
    WriteBatch batch;
    batch.Put(QueuePrefix(queue) + BigEndian(ends.next), value);
    ++ends.next;
    PutEnds(queue, ends, &batch);
    return CommitLocked(std::move(batch));
  }

  Result<std::vector<std::string>> Pop(std::string_view queue, size_t limit) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateKey(queue));
    CONCLAVE_RETURN_IF_ERROR(CheckStateLimit(limit));
    std::lock_guard lock(mutex_);
    CONCLAVE_ASSIGN_OR_RETURN(QueueEnds ends, ReadEnds(queue));
    std::vector<std::string> values;
    WriteBatch batch;
    for (; ends.first < ends.next && values.size() < limit; ++ends.first) {
      const std::string disk_key = QueuePrefix(queue) + BigEndian(ends.first);
      CONCLAVE_ASSIGN_OR_RETURN(auto value, store_->Get(disk_key));
      if (!value) return DataLoss("a value of a queue of the state store is missing");
      values.push_back(*std::move(value));
      batch.Delete(disk_key);
    }
    if (values.empty()) return values;
    PutEnds(queue, ends, &batch);
    CONCLAVE_RETURN_IF_ERROR(CommitLocked(std::move(batch)));
    return values;
  }

  Result<size_t> QueueLength(std::string_view queue) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateKey(queue));
    CONCLAVE_ASSIGN_OR_RETURN(const QueueEnds ends, ReadEnds(queue));
    return ends.length();
  }

  Status Ping() override { return store_->Get("").status(); }

 private:
  struct QueueEnds {
    uint64_t first = 0;
    uint64_t next = 0;
    size_t length() const { return next - first; }
  };

  uint64_t ExpiryAfter(int64_t ttl_ms) const {
    return ttl_ms == 0 ? 0 : static_cast<uint64_t>(now_ms_()) + static_cast<uint64_t>(ttl_ms);
  }

  Result<std::optional<Record>> Read(const std::string& disk_key) {
    CONCLAVE_ASSIGN_OR_RETURN(auto stored, store_->Get(disk_key));
    if (!stored) return std::optional<Record>();
    if (stored->size() < 8) return DataLoss("an entry of the state store is cut short");
    return std::optional<Record>(Record{ReadBigEndian(*stored), stored->substr(8)});
  }

  /// Nothing, also when the record's time is over.
  Result<std::optional<Record>> ReadLive(const std::string& disk_key) {
    CONCLAVE_ASSIGN_OR_RETURN(auto record, Read(disk_key));
    if (record && record->expiry != 0 && record->expiry <= static_cast<uint64_t>(now_ms_())) record.reset();
    return record;
  }

  Status DropLocked(const std::string& disk_key, WriteBatch* batch) {
    CONCLAVE_ASSIGN_OR_RETURN(const auto record, Read(disk_key));
    if (!record) return Status::Ok();
    if (record->expiry != 0) batch->Delete(ExpiryKey(record->expiry, disk_key));
    batch->Delete(disk_key);
    return Status::Ok();
  }

  Status ReplaceLocked(const std::string& disk_key, std::string_view value, uint64_t expiry) {
    WriteBatch batch;
    CONCLAVE_RETURN_IF_ERROR(DropLocked(disk_key, &batch));
    batch.Put(disk_key, BigEndian(expiry).append(value));
    if (expiry != 0) batch.Put(ExpiryKey(expiry, disk_key), {});
    return CommitLocked(std::move(batch));
  }

  /// Clears away a few of what has expired, then writes the batch: its changes come last and win.
  Status CommitLocked(WriteBatch batch) {
    WriteBatch purge;
    int purged = 0;
    const uint64_t now = static_cast<uint64_t>(now_ms_());
    const ScanOptions expired{.prefix = std::string_view(&kExpiry, 1), .from_key = {}};
    CONCLAVE_RETURN_IF_ERROR(store_->Scan(expired, [&](std::string_view key, std::string_view) {
      if (ReadBigEndian(key.substr(1)) > now || purged == kPurgedPerWrite) return false;
      purge.Delete(key.substr(9));
      purge.Delete(key);
      ++purged;
      return true;
    }));
    if (!purge.empty()) CONCLAVE_RETURN_IF_ERROR(store_->Write(std::move(purge), Durability::kAsync));
    if (batch.empty()) return Status::Ok();
    return store_->Write(std::move(batch), Durability::kAsync);
  }

  Result<QueueEnds> ReadEnds(std::string_view queue) {
    CONCLAVE_ASSIGN_OR_RETURN(const auto stored, store_->Get(DiskKey(kQueueEnds, queue)));
    if (!stored) return QueueEnds{};
    const QueueEnds ends{
        ReadBigEndian(*stored),
        ReadBigEndian(std::string_view(*stored).substr(std::min<size_t>(8, stored->size())))};
    if (stored->size() != 16 || ends.first > ends.next)
      return DataLoss("a queue of the state store is damaged");
    return ends;
  }

  static void PutEnds(std::string_view queue, const QueueEnds& ends, WriteBatch* batch) {
    const std::string disk_key = DiskKey(kQueueEnds, queue);
    if (ends.length() == 0) return batch->Delete(disk_key);
    batch->Put(disk_key, BigEndian(ends.first) + BigEndian(ends.next));
  }

  std::unique_ptr<DurableStore> store_;
  MillisecondClock now_ms_;
  std::mutex mutex_;  // held over each read that a write depends on
};

}  // namespace

Result<std::unique_ptr<StateStore>> OpenRocksDbStateStore(const std::filesystem::path& folder,
                                                          MillisecondClock now_ms) {
  CONCLAVE_ASSIGN_OR_RETURN(auto store, DurableStore::Open(folder));
  return std::unique_ptr<StateStore>(new RocksDbStateStore(std::move(store), std::move(now_ms)));
}

}  // namespace conclave::platform
