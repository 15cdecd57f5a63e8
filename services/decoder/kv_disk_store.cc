#include "services/decoder/kv_disk_store.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "platform/log/log.h"

namespace conclave::decoder {
namespace {

// 'i' and a key: when it was used last, and how many bytes its value has, both as 8 bytes, highest first.
// 'v' and a key: the value, then its SHA-256.
constexpr char kIndex = 'i';
constexpr char kValue = 'v';
constexpr size_t kIndexBytes = 16;
constexpr size_t kDigestBytes = std::tuple_size_v<Sha256::Digest>;

std::string DiskKey(char kind, std::string_view key) { return std::string(1, kind).append(key); }

void AppendNumber(std::string& text, uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) text.push_back(static_cast<char>(number >> shift));
}

uint64_t ReadNumber(std::string_view text) {
  uint64_t number = 0;
  for (const char byte : text.substr(0, 8)) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

std::string IndexValue(uint64_t use, int64_t bytes) {
  std::string text;
  AppendNumber(text, use);
  AppendNumber(text, static_cast<uint64_t>(bytes));
  return text;
}

}  // namespace

Result<std::unique_ptr<KvDiskStore>> KvDiskStore::Open(const std::filesystem::path& folder,
                                                       const KvDiskBudget& budget) {
  CONCLAVE_ASSIGN_OR_RETURN(auto durable, platform::DurableStore::Open(folder, {.block_cache_bytes = 1u << 20,
                                                                                .large_value_bytes = 4096}));
  std::unique_ptr<KvDiskStore> store(new KvDiskStore(std::move(durable), budget));
  CONCLAVE_RETURN_IF_ERROR(store->ReadIndex());
  return store;
}

/// Every value has an index entry: both are written together.
Status KvDiskStore::ReadIndex() {
  platform::WriteBatch batch;
  CONCLAVE_RETURN_IF_ERROR(store_->Scan(
      {.prefix = std::string_view(&kIndex, 1)}, [&](std::string_view disk_key, std::string_view value) {
        const std::string_view key = disk_key.substr(1);
        const uint64_t bytes = value.size() == kIndexBytes ? ReadNumber(value.substr(8)) : 0;
        if (bytes == 0 || bytes > static_cast<uint64_t>(budget_.bytes)) {
          batch.Delete(disk_key);
          batch.Delete(DiskKey(kValue, key));
        } else {
          entries_.push_back({std::string(key), static_cast<int64_t>(bytes), ReadNumber(value)});
          bytes_ += static_cast<int64_t>(bytes);
        }
        return true;
      }));
  entries_.sort([](const Entry& a, const Entry& b) { return a.use > b.use; });
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) by_key_.emplace(entry->key, entry);
  if (!entries_.empty()) next_use_ = entries_.front().use + 1;
  MakeRoom(0, batch);
  return batch.empty() ? Status::Ok() : store_->Write(std::move(batch), platform::Durability::kAsync);
}

bool KvDiskStore::Contains(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  return by_key_.contains(key);
}

Status KvDiskStore::Put(const std::string& key, std::span<const std::byte> value) {
  const auto bytes = static_cast<int64_t>(value.size() + kDigestBytes);
  if (bytes > budget_.bytes || budget_.entries < 1 || Contains(key)) return Status::Ok();
  platform::WriteBatch batch;
  {
    const std::lock_guard lock(mutex_);
    MakeRoom(bytes, batch);
  }
  // What goes is deleted even when what comes cannot be written: a full disk has to become emptier.
  if (!batch.empty()) {
    CONCLAVE_RETURN_IF_ERROR(store_->Write(std::move(batch), platform::Durability::kAsync));
  }
  std::string text(reinterpret_cast<const char*>(value.data()), value.size());
  const Sha256::Digest digest = Sha256::Of(value);
  text.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  const uint64_t use = next_use_++;
  platform::WriteBatch both;
  both.Put(DiskKey(kValue, key), text);
  both.Put(DiskKey(kIndex, key), IndexValue(use, bytes));
  CONCLAVE_RETURN_IF_ERROR(store_->Write(std::move(both), platform::Durability::kAsync));
  const std::lock_guard lock(mutex_);
  entries_.push_front({key, bytes, use});
  by_key_.emplace(key, entries_.begin());
  bytes_ += bytes;
  return Status::Ok();
}

Result<bool> KvDiskStore::Get(const std::string& key, std::span<std::byte> value) {
  if (!Contains(key)) return false;
  auto stored = store_->Get(DiskKey(kValue, key));
  // RocksDB's own checksums come first; what they find is this one entry's loss.
  if (!stored.ok() && stored.status().code() != StatusCode::kDataLoss) return stored.status();
  bool whole = stored.ok() && stored->has_value() && (*stored)->size() == value.size() + kDigestBytes;
  if (whole) {
    std::memcpy(value.data(), (*stored)->data(), value.size());
    const Sha256::Digest digest = Sha256::Of(value);
    whole = std::memcmp(digest.data(), (*stored)->data() + value.size(), kDigestBytes) == 0;
  }
  if (whole) return true;
  if (!std::exchange(logged_damage_, true)) {
    platform::LogWarning("decoder",
                         "a block of keys and values on disk is damaged; it is deleted and computed "
                         "again, as any further one will be");
  }
  platform::WriteBatch batch;
  {
    const std::lock_guard lock(mutex_);
    Forget(by_key_.find(key)->second, batch);
  }
  CONCLAVE_RETURN_IF_ERROR(store_->Write(std::move(batch), platform::Durability::kAsync));
  return false;
}

Status KvDiskStore::Touch(std::span<const std::string> keys) {
  platform::WriteBatch batch;
  {
    const std::lock_guard lock(mutex_);
    for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
      const auto known = by_key_.find(*key);
      if (known == by_key_.end()) continue;
      const Entries::iterator entry = known->second;
      entry->use = next_use_++;
      entries_.splice(entries_.begin(), entries_, entry);
      batch.Put(DiskKey(kIndex, *key), IndexValue(entry->use, entry->bytes));
    }
  }
  return batch.empty() ? Status::Ok() : store_->Write(std::move(batch), platform::Durability::kAsync);
}

void KvDiskStore::MakeRoom(int64_t bytes, platform::WriteBatch& batch) {
  const int64_t more = bytes > 0 ? 1 : 0;
  while (!entries_.empty() &&
         (bytes_ + bytes > budget_.bytes || static_cast<int64_t>(entries_.size()) + more > budget_.entries)) {
    Forget(std::prev(entries_.end()), batch);
  }
}

void KvDiskStore::Forget(Entries::iterator entry, platform::WriteBatch& batch) {
  batch.Delete(DiskKey(kValue, entry->key));
  batch.Delete(DiskKey(kIndex, entry->key));
  bytes_ -= entry->bytes;
  ++evictions_;
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

int64_t KvDiskStore::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

int64_t KvDiskStore::entries() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(entries_.size());
}

int64_t KvDiskStore::evictions() const {
  const std::lock_guard lock(mutex_);
  return evictions_;
}

}  // namespace conclave::decoder
