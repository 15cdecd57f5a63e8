#include "engine/cache/kv_cache.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

namespace conclave::engine {
namespace {

/// Numbers of a head that one word holds.
int64_t NumbersOfAWord(KvFormat format) {
  switch (format) {
    case KvFormat::kInt8: return 4;
    case KvFormat::kBrainPairs: return 2;
    case KvFormat::kFloat32: break;
  }
  return 1;
}

bool Allows(int64_t head_dim, KvFormat format) {
  return format == KvFormat::kFloat32 ||
         (head_dim % NumbersOfAWord(format) == 0 && head_dim <= kMostPairedHeadDim);
}

}  // namespace

Result<KvLayout> KvLayout::For(const Architecture& architecture, std::optional<KvFormat> wanted,
                               KvFormat natural) {
  const int64_t head_dim = architecture.cached_key_dim();
  const int64_t value_dim = architecture.cached_value_dim();
  const auto allows = [&](KvFormat format) { return Allows(head_dim, format) && Allows(value_dim, format); };
  if (wanted.has_value() && !allows(*wanted)) {
    return InvalidArgument(
        "keys and values in " + std::string(KvFormatName(*wanted)) +
        " need heads whose width is a multiple of " + std::to_string(NumbersOfAWord(*wanted)) + " up to " +
        std::to_string(kMostPairedHeadDim) + "; this model's are " + std::to_string(head_dim) +
        (value_dim == head_dim ? "" : " and " + std::to_string(value_dim)) + " wide");
  }
  const KvFormat format = wanted.value_or(allows(natural) ? natural : KvFormat::kFloat32);
  return KvLayout{.layers = architecture.layers,
                  .kv_heads = architecture.kv_heads,
                  .head_dim = head_dim,
                  .value_dim = value_dim,
                  .format = format};
}

Result<std::unique_ptr<KvPool>> KvPool::Create(const KvLayout& layout, int64_t bytes) {
  const int64_t blocks = bytes / layout.block_bytes();
  if (blocks < 1) {
    return InvalidArgument("the key-value cache of " + std::to_string(bytes) +
                           " bytes holds no block; one of " + std::to_string(kKvBlockTokens) +
                           " tokens takes " + std::to_string(layout.block_bytes()) + " bytes");
  }
  PageMemory memory = PageMemory::Map(blocks * layout.block_bytes());
  if (memory.data() == nullptr) {
    return ResourceExhausted("the system gives no memory for a key-value cache of " + std::to_string(bytes) +
                             " bytes; lower limits.kv_bytes");
  }
  return std::unique_ptr<KvPool>(new KvPool(layout, std::move(memory), blocks));
}

KvPool::KvPool(const KvLayout& layout, PageMemory memory, int64_t total_blocks)
    : layout_(layout), memory_(std::move(memory)), total_blocks_(total_blocks), references_(total_blocks, 0) {
  free_.reserve(total_blocks);
  for (int64_t block = total_blocks - 1; block >= 0; --block) free_.push_back(static_cast<int32_t>(block));
}

int32_t KvPool::Take() {
  if (free_.empty()) return -1;
  const int32_t block = free_.back();
  free_.pop_back();
  references_[block] = 1;
  return block;
}

void KvPool::Share(int32_t block) {
  assert(references_[block] > 0);
  ++references_[block];
}

void KvPool::Drop(int32_t block) {
  assert(references_[block] > 0);
  if (--references_[block] == 0) free_.push_back(block);
}

KvSequence::KvSequence(KvSequence&& other) noexcept
    : pool_(other.pool_), blocks_(std::move(other.blocks_)), length_(std::exchange(other.length_, 0)) {
  other.blocks_.clear();
}

Status KvSequence::Reserve(int64_t tokens) {
  const int64_t missing = KvBlocksFor(tokens) - static_cast<int64_t>(blocks_.size());
  if (missing <= 0) return Status::Ok();
  if (missing > pool_->free_blocks()) {
    return ResourceExhausted("the key-value cache has " + std::to_string(pool_->free_blocks()) +
                             " free blocks and the sequence needs " + std::to_string(missing));
  }
  for (int64_t i = 0; i < missing; ++i) blocks_.push_back(pool_->Take());
  return Status::Ok();
}

void KvSequence::Adopt(std::vector<int32_t> blocks) {
  assert(blocks_.empty() && length_ == 0);
  blocks_ = std::move(blocks);
  length_ = capacity();
}

void KvSequence::Fork(const KvSequence& other) {
  assert(length_ == 0 && pool_ == other.pool_);
  const int64_t whole = other.length_ / kKvBlockTokens;
  if (whole * kKvBlockTokens < other.length_) {
    assert(!blocks_.empty());
    std::copy_n(pool_->Block(other.blocks_[whole]), pool_->layout().block_bytes(),
                pool_->Block(blocks_.front()));
  }
  blocks_.insert(blocks_.begin(), other.blocks_.begin(), other.blocks_.begin() + whole);
  for (int64_t i = 0; i < whole; ++i) pool_->Share(blocks_[i]);
  length_ = other.length_;
}

void KvSequence::Follow(const KvSequence& other) {
  assert(length_ <= other.length_ && other.length_ <= capacity() && pool_ == other.pool_);
  const int64_t whole = other.length_ / kKvBlockTokens;
  for (int64_t i = 0; i < whole; ++i) {
    if (blocks_[i] == other.blocks_[i]) continue;
    pool_->Share(other.blocks_[i]);
    pool_->Drop(std::exchange(blocks_[i], other.blocks_[i]));
  }
  if (whole * kKvBlockTokens < other.length_) {
    std::copy_n(pool_->Block(other.blocks_[whole]), pool_->layout().block_bytes(),
                pool_->Block(blocks_[whole]));
  }
  length_ = other.length_;
}

void KvSequence::Swap(KvSequence& other) {
  assert(pool_ == other.pool_);
  blocks_.swap(other.blocks_);
  std::swap(length_, other.length_);
}

void KvSequence::Clear() {
  for (const int32_t block : blocks_) pool_->Drop(block);
  blocks_.clear();
  length_ = 0;
}

}  // namespace conclave::engine
