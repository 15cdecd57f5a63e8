#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "engine/kernels/attention_task.h"
#include "engine/kernels/kv_storage.h"
#include "engine/model/architecture.h"
#include "engine/tensor/page_memory.h"

namespace conclave::engine {

/// Tokens whose keys and values share a block.
inline constexpr int64_t kKvBlockTokens = 32;

/// The sizes of a paged cache (arXiv 2309.06180) for one model.
struct KvLayout {
  int64_t layers = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;          ///< numbers of a key
  int64_t value_dim = head_dim;  ///< and of a value
  KvFormat format = KvFormat::kBrainPairs;

  /// In `wanted`, or, where that is none, in `natural` or the next wider format that the heads' width allows.
  /// Errors: INVALID_ARGUMENT (the heads' width does not allow what is wanted).
  static Result<KvLayout> For(const Architecture& architecture, std::optional<KvFormat> wanted,
                              KvFormat natural);

  int64_t width(bool values) const { return values ? value_dim : head_dim; }
  /// One block's keys (or values) of one key-value head in one layer, as AttentionTask reads them.
  int64_t head_bytes(bool values) const { return KvHeadBytes(format, width(values), kKvBlockTokens); }
  int64_t layer_bytes() const { return kv_heads * (head_bytes(false) + head_bytes(true)); }
  /// A whole block: [layer][keys, values][kv_head].
  int64_t block_bytes() const { return layers * layer_bytes(); }
  /// From the start of a block to a layer's keys or values.
  int64_t Offset(int64_t layer, bool values) const {
    return layer * layer_bytes() + (values ? kv_heads * head_bytes(false) : 0);
  }
};

/// How many blocks hold `tokens` tokens.
constexpr int64_t KvBlocksFor(int64_t tokens) { return (tokens + kKvBlockTokens - 1) / kKvBlockTokens; }

/// A fixed number of blocks in one address range; memory is taken from the system when a block is first
/// written. Blocks are counted references, so that sequences can share a prefix. Used by one thread at a
/// time.
class KvPool {
 public:
  /// Room for as many whole blocks as fit into `bytes`. Errors: INVALID_ARGUMENT (not even one block fits),
  /// RESOURCE_EXHAUSTED (the system gives no address space).
  static Result<std::unique_ptr<KvPool>> Create(const KvLayout& layout, int64_t bytes);
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  const KvLayout& layout() const { return layout_; }
  int64_t total_blocks() const { return total_blocks_; }
  int64_t free_blocks() const { return static_cast<int64_t>(free_.size()); }
  int64_t used_bytes() const { return (total_blocks_ - free_blocks()) * layout_.block_bytes(); }
  int64_t total_bytes() const { return total_blocks_ * layout_.block_bytes(); }

  /// A block with one reference, or -1 when none is free.
  int32_t Take();
  void Share(int32_t block);
  /// Drops one reference; the last one frees the block.
  void Drop(int32_t block);
  int32_t references(int32_t block) const { return references_[block]; }

  std::byte* Block(int32_t block) { return memory_.data() + block * layout_.block_bytes(); }

 private:
  KvPool(const KvLayout& layout, PageMemory memory, int64_t total_blocks);

  KvLayout layout_;
  PageMemory memory_;
  int64_t total_blocks_;
  std::vector<int32_t> free_;
  std::vector<int32_t> references_;
};

/// The keys and values of one sequence: its blocks in order, and how many tokens they hold. Gives its blocks
/// back when it is destroyed; must not outlive its pool. Used by one thread at a time.
class KvSequence {
 public:
  explicit KvSequence(KvPool& pool) : pool_(&pool) {}
  ~KvSequence() { Clear(); }
  KvSequence(KvSequence&& other) noexcept;
  KvSequence& operator=(KvSequence&&) = delete;

  /// Makes room for `tokens` tokens in all. Errors: RESOURCE_EXHAUSTED (not enough free blocks; nothing
  /// changed).
  Status Reserve(int64_t tokens);
  /// Begins with completely written blocks that others may hold too, and takes over one reference on each.
  /// Only for an empty sequence without room; what is written later goes to blocks of its own.
  void Adopt(std::vector<int32_t> blocks);
  /// Begins with all that `other`, of the same pool, holds: shares the blocks that are completely written and
  /// copies the one that is not. Only for an empty sequence, whose room comes behind the shared blocks and
  /// must hold that one. `other` must not Retreat into what is shared.
  void Fork(const KvSequence& other);
  /// Begins again with all that `other`, of the same pool and at least as long, holds: takes references on
  /// its whole blocks in place of the sequence's own, and copies the one that is not whole; takes no new
  /// block. The sequence keeps its room, which must hold that, and nobody else may hold its blocks from its
  /// last, partly written one on.
  void Follow(const KvSequence& other);
  /// Exchanges room and tokens with another sequence of the same pool.
  void Swap(KvSequence& other);
  void Clear();

  int64_t length() const { return length_; }
  int64_t capacity() const { return static_cast<int64_t>(blocks_.size()) * kKvBlockTokens; }
  /// Counts `tokens` more as written; within the capacity.
  void Advance(int64_t tokens) { length_ += tokens; }
  /// Forgets the last `tokens`; the room stays. They must not lie in blocks that others hold too.
  void Retreat(int64_t tokens) { length_ -= tokens; }

  const std::vector<int32_t>& blocks() const { return blocks_; }
  KvPool& pool() const { return *pool_; }

 private:
  KvPool* pool_;
  std::vector<int32_t> blocks_;
  int64_t length_ = 0;
};

}  // namespace conclave::engine
