#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/cache/kv_cache.h"

namespace conclave::engine {

/// Keys and values of texts that were computed before, for texts that begin alike: a radix tree over token
/// ids (RadixAttention, arXiv 2312.07104) whose every edge is one whole block of kKvBlockTokens tokens. It
/// holds one reference on each of its blocks, and only on blocks that are completely written and that nobody
/// writes again.
///
/// Each `salt` has a tree of its own. Texts of one salt are never found under another, so whoever may not
/// learn from answer times what others asked (CVE-2025-46570) needs another salt. Salts should be digests of
/// equal length.
///
/// Bounded: as many nodes as blocks fit into the bytes it was given, at most the pool's blocks, and no more
/// salts than nodes. The block that was used longest ago goes first, and never before those that continue it.
/// Used by one thread at a time, the pool's; must not outlive the pool.
class PrefixCache {
 public:
  /// A block, and the text that it ends: a multiple of kKvBlockTokens tokens. The views are valid only during
  /// the call, which must not use the cache.
  using Visit = std::function<void(std::string_view salt, std::span<const int32_t> tokens, int32_t block)>;

  /// `bytes` of `pool` at most; fewer than one block's: the cache stays empty.
  PrefixCache(KvPool& pool, int64_t bytes);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  /// The blocks of the longest cached beginning of `tokens`, in order; the caller owns one reference on each.
  /// They never cover the last token: somebody wants its logits. Takes O(tokens * log nodes).
  std::vector<int32_t> Match(std::string_view salt, std::span<const int32_t> tokens);

  /// Remembers `blocks`, which hold the keys and values of `tokens` in order: as many as are completely
  /// written, that is tokens / kKvBlockTokens, and fit into the cache. What is known already stays as it is.
  /// Nobody may write into these blocks again. Takes O(tokens * log nodes).
  void Insert(std::string_view salt, std::span<const int32_t> tokens, std::span<const int32_t> blocks);

  /// Evicts until the pool has `blocks` free ones; false, with nothing evicted, when that is impossible
  /// because sequences use the rest. Takes O(nodes).
  bool MakeRoom(int64_t blocks);

  /// Calls `visit` for each block that is evicted from now on, while the cache still holds it.
  void OnEvict(Visit visit) { on_evict_ = std::move(visit); }

  /// Calls `visit` for each block, the last used first and never before those that it continues, while
  /// `go_on` says so.
  void VisitNewestFirst(const Visit& visit, const std::function<bool()>& go_on) const;

  KvPool& pool() const { return pool_; }
  int64_t nodes() const { return static_cast<int64_t>(nodes_.size()); }
  int64_t most_nodes() const { return most_nodes_; }
  int64_t salts() const { return static_cast<int64_t>(roots_.size()); }
  int64_t used_bytes() const { return nodes() * pool_.layout().block_bytes(); }
  /// Blocks that were evicted so far, for either reason.
  int64_t evictions() const { return evictions_; }

 private:
  struct Node;
  using BlockTokens = std::array<int32_t, kKvBlockTokens>;
  using Nodes = std::list<Node>;
  /// Ordered, not hashed: no choice of tokens makes a look-up slow.
  using Children = std::map<BlockTokens, Nodes::iterator>;
  using Roots = std::map<std::string, Children, std::less<>>;

  struct Node {
    int32_t block = -1;
    Children children;
    const Node* parent = nullptr;  ///< null: the text's first block
    Children* siblings = nullptr;  ///< the map that names this node
    Children::iterator place;      ///< where in it
    Roots::iterator root;
    bool used = false;  ///< by a sequence, or before what one uses; as MakeRoom last found it
  };

  static void Tell(const Node& node, const Visit& visit);
  static BlockTokens TokensOf(std::span<const int32_t> tokens, int64_t block);
  std::vector<Nodes::iterator> Find(Roots::iterator root, std::span<const int32_t> tokens, int64_t blocks);
  void Touch(const std::vector<Nodes::iterator>& path);
  Nodes::iterator Evict(Nodes::iterator node);

  KvPool& pool_;
  int64_t most_nodes_;
  int64_t evictions_ = 0;
  Visit on_evict_;
  Roots roots_;
  /// Last used first; a node stands before all that continue it, so the last one is always a leaf.
  Nodes nodes_;
};

}  // namespace conclave::engine
