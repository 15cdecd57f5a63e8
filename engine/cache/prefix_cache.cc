#include "engine/cache/prefix_cache.h"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace conclave::engine {

PrefixCache::PrefixCache(KvPool& pool, int64_t bytes)
    : pool_(pool),
      most_nodes_(std::clamp(bytes / pool.layout().block_bytes(), int64_t{0}, pool.total_blocks())) {}

PrefixCache::~PrefixCache() {
  for (const Node& node : nodes_) pool_.Drop(node.block);
}

PrefixCache::BlockTokens PrefixCache::TokensOf(std::span<const int32_t> tokens, int64_t block) {
  BlockTokens of;
  std::copy_n(tokens.begin() + block * kKvBlockTokens, kKvBlockTokens, of.begin());
  return of;
}

/// The nodes of the longest known beginning of at most `blocks` blocks, from the root.
std::vector<PrefixCache::Nodes::iterator> PrefixCache::Find(Roots::iterator root,
                                                            std::span<const int32_t> tokens, int64_t blocks) {
  std::vector<Nodes::iterator> path;
  Children* children = &root->second;
  for (int64_t block = 0; block < blocks; ++block) {
    const auto child = children->find(TokensOf(tokens, block));
    if (child == children->end()) break;
    path.push_back(child->second);
    children = &child->second->children;
  }
  return path;
}

/// From the leaf up, so that every node comes to stand before those that continue it.
void PrefixCache::Touch(const std::vector<Nodes::iterator>& path) {
  for (auto node = path.rbegin(); node != path.rend(); ++node) nodes_.splice(nodes_.begin(), nodes_, *node);
}

std::vector<int32_t> PrefixCache::Match(std::string_view salt, std::span<const int32_t> tokens) {
  std::vector<int32_t> blocks;
  const auto root = roots_.find(salt);
  if (root == roots_.end() || tokens.empty()) return blocks;
  const auto path = Find(root, tokens, (static_cast<int64_t>(tokens.size()) - 1) / kKvBlockTokens);
  Touch(path);
  for (const Nodes::iterator node : path) {
    pool_.Share(node->block);
    blocks.push_back(node->block);
  }
  return blocks;
}

void PrefixCache::Insert(std::string_view salt, std::span<const int32_t> tokens,
                         std::span<const int32_t> blocks) {
  const int64_t whole = std::min(static_cast<int64_t>(tokens.size()) / kKvBlockTokens, most_nodes_);
  assert(whole <= static_cast<int64_t>(blocks.size()));
  if (whole == 0) return;
  std::vector<Nodes::iterator> path;
  if (const auto known = roots_.find(salt); known != roots_.end()) path = Find(known, tokens, whole);
  Touch(path);
  const auto known_blocks = static_cast<int64_t>(path.size());
  // The path stands first and with what is new it fits, so what is evicted is not of the path.
  while (nodes() + whole - known_blocks > most_nodes_) Evict(std::prev(nodes_.end()));
  const auto root = roots_.try_emplace(std::string(salt)).first;
  Children* siblings = path.empty() ? &root->second : &path.back()->children;
  const Node* parent = path.empty() ? nullptr : &*path.back();
  auto before = path.empty() ? nodes_.begin() : std::next(path.back());
  for (int64_t block = known_blocks; block < whole; ++block) {
    const auto node = nodes_.insert(
        before, Node{.block = blocks[block], .parent = parent, .siblings = siblings, .root = root});
    node->place = siblings->emplace(TokensOf(tokens, block), node).first;
    pool_.Share(node->block);
    siblings = &node->children;
    parent = &*node;
  }
}

void PrefixCache::Tell(const Node& node, const Visit& visit) {
  std::vector<const Node*> path;
  for (const Node* on = &node; on != nullptr; on = on->parent) path.push_back(on);
  std::vector<int32_t> tokens;
  tokens.reserve(path.size() * kKvBlockTokens);
  for (auto on = path.rbegin(); on != path.rend(); ++on) {
    const BlockTokens& of = (*on)->place->first;
    tokens.insert(tokens.end(), of.begin(), of.end());
  }
  visit(node.root->first, tokens, node.block);
}

void PrefixCache::VisitNewestFirst(const Visit& visit, const std::function<bool()>& go_on) const {
  for (const Node& node : nodes_) {
    if (!go_on()) return;
    Tell(node, visit);
  }
}

bool PrefixCache::MakeRoom(int64_t blocks) {
  int64_t missing = blocks - pool_.free_blocks();
  if (missing <= 0) return true;
  // A sequence that computed a text beside another one uses blocks of its own before those that only it had
  // to add: these hold the ones before them in the cache. What continues a node stands behind it.
  int64_t unused = 0;
  for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
    node->used = pool_.references(node->block) > 1 ||
                 std::ranges::any_of(node->children, [](const auto& child) { return child.second->used; });
    if (!node->used) ++unused;
  }
  if (unused < missing) return false;
  for (auto node = nodes_.end(); missing > 0 && node != nodes_.begin();) {
    --node;
    // What continues an unused one is unused, and is gone already.
    if (node->used) continue;
    node = Evict(node);
    --missing;
  }
  return missing == 0;
}

/// Forgets a leaf; returns the node after it.
PrefixCache::Nodes::iterator PrefixCache::Evict(Nodes::iterator node) {
  assert(node->children.empty());
  if (on_evict_) Tell(*node, on_evict_);
  pool_.Drop(node->block);
  const auto root = node->root;
  node->siblings->erase(node->place);
  if (root->second.empty()) roots_.erase(root);
  ++evictions_;
  return nodes_.erase(node);
}

}  // namespace conclave::engine
