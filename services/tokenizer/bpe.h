#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "services/tokenizer/vocabulary.h"

namespace conclave::tokenizer {

/// What merging cost so far; tests hold it against the length of the input.
struct MergeWork {
  uint64_t pair_lookups = 0;
  uint64_t heap_pushes = 0;
};

/// Byte-pair encoding (arXiv 1508.07909) of one piece: of all adjacent pairs that merge, the one with the
/// lowest rank merges first, the leftmost among equals. O(n log n) time for n bytes. Holds working memory;
/// one thread.
class BpeMerger {
 public:
  /// Appends the tokens of `piece`. Bytes that have no token are left out first.
  void Merge(const Vocabulary& vocabulary, std::string_view piece, std::vector<int32_t>* token_ids);

  const MergeWork& work() const { return work_; }
  /// What it holds between pieces; of pieces beyond kLargePieceBytes nothing stays.
  size_t kept_bytes() const {
    return symbols_.capacity() * sizeof(Symbol) + heap_.capacity() * sizeof(uint64_t);
  }

 private:
  /// A symbol of a long piece, in a list. The symbol keeps the index of its first byte.
  struct Symbol {
    int32_t token_id;  // -1 when it was merged into the one before.
    int32_t previous;  // -1: none.
    int32_t next;      // -1: none.
  };

  void MergeShort(const Vocabulary& vocabulary, std::string_view piece, std::vector<int32_t>* token_ids);
  void MergeLong(const Vocabulary& vocabulary, std::string_view piece, std::vector<int32_t>* token_ids);
  void FillSymbols(const Vocabulary& vocabulary, std::string_view piece);
  /// The merge of a symbol with the one after it.
  PairMerge MergeAfter(const Vocabulary& vocabulary, int32_t left);
  void PushPair(const Vocabulary& vocabulary, int32_t left);
  void Join(const Vocabulary& vocabulary, int32_t left, int32_t merged_id);

  std::vector<Symbol> symbols_;
  /// A heap of rank << 32 | index of the left symbol. Entries go stale when a neighbour merges; that is seen
  /// when they are popped.
  std::vector<uint64_t> heap_;
  MergeWork work_;
};

}  // namespace conclave::tokenizer
