#include "services/tokenizer/bpe.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "services/tokenizer/limits.h"

namespace conclave::tokenizer {

void BpeMerger::Merge(const Vocabulary& vocabulary, std::string_view piece, std::vector<int32_t>* token_ids) {
  if (piece.size() <= kShortPieceSymbols) return MergeShort(vocabulary, piece, token_ids);
  MergeLong(vocabulary, piece, token_ids);
  if (piece.size() > kLargePieceBytes) {
    // Assigning {} would keep the memory: it assigns an empty list.
    std::vector<Symbol>().swap(symbols_);
    std::vector<uint64_t>().swap(heap_);
  }
}

void BpeMerger::MergeShort(const Vocabulary& vocabulary, std::string_view piece,
                           std::vector<int32_t>* token_ids) {
  int32_t symbols[kShortPieceSymbols];
  PairMerge merges[kShortPieceSymbols];  // Of each symbol with the next.
  size_t count = 0;
  for (const char byte : piece) {
    const int32_t id = vocabulary.ByteToken(static_cast<uint8_t>(byte));
    if (id >= 0) symbols[count++] = id;
  }
  const auto look_up = [&](size_t left) {
    ++work_.pair_lookups;
    merges[left] = vocabulary.FindMerge(symbols[left], symbols[left + 1]);
  };
  for (size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    const auto* best = std::min_element(
        merges, merges + count - 1, [](const PairMerge& a, const PairMerge& b) { return a.rank < b.rank; });
    if (best->rank == PairMerge::kNone) break;
    const size_t left = static_cast<size_t>(best - merges);
    symbols[left] = best->token_id;
    std::copy(symbols + left + 2, symbols + count, symbols + left + 1);
    std::copy(merges + left + 1, merges + count - 1, merges + left);
    --count;
    if (left > 0) look_up(left - 1);
    if (left + 1 < count) look_up(left);
  }
  token_ids->insert(token_ids->end(), symbols, symbols + count);
}

void BpeMerger::FillSymbols(const Vocabulary& vocabulary, std::string_view piece) {
  symbols_.clear();
  symbols_.reserve(piece.size());
  for (const char byte : piece) {
    const int32_t id = vocabulary.ByteToken(static_cast<uint8_t>(byte));
    const auto index = static_cast<int32_t>(symbols_.size());
    if (id >= 0) symbols_.push_back({id, index - 1, index + 1});
  }
  if (!symbols_.empty()) symbols_.back().next = -1;
}

PairMerge BpeMerger::MergeAfter(const Vocabulary& vocabulary, int32_t left) {
  const Symbol& symbol = symbols_[left];
  if (symbol.token_id < 0 || symbol.next < 0) return {};
  ++work_.pair_lookups;
  return vocabulary.FindMerge(symbol.token_id, symbols_[symbol.next].token_id);
}

void BpeMerger::PushPair(const Vocabulary& vocabulary, int32_t left) {
  const PairMerge merge = MergeAfter(vocabulary, left);
  if (merge.rank == PairMerge::kNone) return;
  ++work_.heap_pushes;
  heap_.push_back(static_cast<uint64_t>(merge.rank) << 32 | static_cast<uint32_t>(left));
}

void BpeMerger::Join(const Vocabulary& vocabulary, int32_t left, int32_t merged_id) {
  Symbol& symbol = symbols_[left];
  Symbol& right = symbols_[symbol.next];
  symbol.token_id = merged_id;
  symbol.next = right.next;
  right.token_id = -1;
  if (symbol.next >= 0) symbols_[symbol.next].previous = left;
  const auto push = [&](int32_t index) {
    const size_t before = heap_.size();
    PushPair(vocabulary, index);
    if (heap_.size() > before) std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  };
  if (symbol.previous >= 0) push(symbol.previous);
  push(left);
}

void BpeMerger::MergeLong(const Vocabulary& vocabulary, std::string_view piece,
                          std::vector<int32_t>* token_ids) {
  FillSymbols(vocabulary, piece);
  heap_.clear();
  for (size_t i = 0; i < symbols_.size(); ++i) PushPair(vocabulary, static_cast<int32_t>(i));
  std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    const auto rank = static_cast<uint32_t>(heap_.back() >> 32);
    const auto left = static_cast<int32_t>(heap_.back() & UINT32_MAX);
    heap_.pop_back();
    // The pair may have changed since; then it has another rank, and an entry of its own.
    const PairMerge merge = MergeAfter(vocabulary, left);
    if (merge.rank == rank) Join(vocabulary, left, merge.token_id);
  }
  for (const Symbol& symbol : symbols_) {
    if (symbol.token_id >= 0) token_ids->push_back(symbol.token_id);
  }
}

}  // namespace conclave::tokenizer
