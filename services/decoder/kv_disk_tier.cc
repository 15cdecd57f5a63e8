#include "services/decoder/kv_disk_tier.h"

#include <cstring>
#include <system_error>
#include <utility>

#include "platform/log/log.h"
#include "services/decoder/limits.h"

namespace conclave::decoder {

struct KvDiskLoad::State {
  std::vector<std::string> keys;
  size_t first = 0;  ///< of the keys, that of the first block
  std::vector<std::byte*> blocks;
  size_t block_bytes = 0;

  std::mutex mutex;  ///< guards what follows, and is held while a block is filled
  int64_t filled = 0;
  bool done = false;
};

bool KvDiskLoad::Done() const {
  const std::lock_guard lock(state_->mutex);
  return state_->done;
}

int64_t KvDiskLoad::End() {
  const std::lock_guard lock(state_->mutex);
  state_->done = true;
  return state_->filled;
}

Result<std::unique_ptr<KvDiskTier>> KvDiskTier::Start(std::unique_ptr<KvDiskStore> store) {
  std::unique_ptr<KvDiskTier> tier(new KvDiskTier(std::move(store)));
  try {
    tier->thread_ = std::thread([raw = tier.get()] { raw->Run(); });
  } catch (const std::system_error& error) {
    return ResourceExhausted(std::string("no thread for the keys and values on disk: ") + error.what());
  }
  return tier;
}

KvDiskTier::~KvDiskTier() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

int64_t KvDiskTier::Now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::unique_ptr<KvDiskLoad> KvDiskTier::Load(std::vector<std::string> keys, size_t first,
                                             std::vector<std::byte*> blocks, size_t block_bytes) {
  auto state = std::make_shared<KvDiskLoad::State>();
  state->keys = std::move(keys);
  state->first = first;
  state->blocks = std::move(blocks);
  state->block_bytes = block_bytes;
  {
    const std::lock_guard lock(mutex_);
    loads_.push_back(state);
  }
  changed_.notify_all();
  return std::make_unique<KvDiskLoad>(std::move(state));
}

bool KvDiskTier::TakesWrites(size_t bytes) const {
  if (Rests()) return false;
  const std::lock_guard lock(mutex_);
  return waiting_bytes_ + bytes <= kMostWaitingDiskBytes;
}

void KvDiskTier::Write(std::string key, std::span<const std::byte> block) {
  std::vector<std::byte> copy(block.begin(), block.end());
  {
    const std::lock_guard lock(mutex_);
    waiting_bytes_ += copy.size();
    writes_.push_back({std::move(key), std::move(copy)});
  }
  changed_.notify_all();
}

void KvDiskTier::WaitIdle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return loads_.empty() && writes_.empty() && !busy_; });
}

bool KvDiskTier::WriteNow(const std::string& key, std::span<const std::byte> block) {
  WaitIdle();
  return Put(key, block);
}

bool KvDiskTier::Put(const std::string& key, std::span<const std::byte> block) {
  if (Rests()) return false;
  if (logged_) (void)store_->TryResume();
  const Status written = store_->Put(key, block);
  Note(written);
  return written.ok();
}

void KvDiskTier::TouchNow(std::span<const std::string> keys) {
  WaitIdle();
  if (!Rests()) Note(store_->Touch(keys));
}

void KvDiskTier::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !loads_.empty() || !writes_.empty(); });
    if (stopping_) return;
    busy_ = true;
    if (!loads_.empty()) {
      const auto load = std::move(loads_.front());
      loads_.pop_front();
      lock.unlock();
      Read(*load);
      lock.lock();
    } else {
      const Block block = std::move(writes_.front());
      writes_.pop_front();
      lock.unlock();
      (void)Put(block.key, block.bytes);
      lock.lock();
      waiting_bytes_ -= block.bytes.size();
    }
    busy_ = false;
    changed_.notify_all();
  }
}

/// Each block is read into a buffer first, so that a slow disk holds up nobody who ends the load.
void KvDiskTier::Read(KvDiskLoad::State& load) {
  std::vector<std::byte> buffer(load.block_bytes);
  size_t read = 0;
  for (; read < load.blocks.size() && !Rests(); ++read) {
    {
      const std::lock_guard lock(load.mutex);
      if (load.done) break;
    }
    const auto found = store_->Get(load.keys[load.first + read], buffer);
    if (!found.ok()) Note(found.status());
    if (!found.ok() || !*found) break;
    const std::lock_guard lock(load.mutex);
    if (load.done) break;
    std::memcpy(load.blocks[read], buffer.data(), buffer.size());
    ++load.filled;
  }
  {
    const std::lock_guard lock(load.mutex);
    load.done = true;
  }
  if (wake_) wake_();
  if (read > 0 && !Rests()) Note(store_->Touch(std::span(load.keys).first(load.first + read)));
}

void KvDiskTier::Note(const Status& status) {
  if (status.ok()) {
    logged_ = false;
    return;
  }
  ++errors_;
  rests_until_ms_ = Now() + kDiskRestMs;
  if (std::exchange(logged_, true)) return;
  platform::LogWarning("decoder", "keys and values are not kept on disk for a while: " + status.message());
}

}  // namespace conclave::decoder
