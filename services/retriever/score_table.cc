#include "services/retriever/score_table.h"

#include <algorithm>
#include <utility>

#include "services/retriever/posting_block.h"

namespace conclave::retriever {

Result<ScoreTable::Block*> ScoreTable::Load(uint64_t number) {
  if (const auto found = blocks_.find(number); found != blocks_.end()) return &found->second;
  CONCLAVE_ASSIGN_OR_RETURN(const auto bytes, store_.Get(keys_.Lengths(number), &snapshot_));
  CONCLAVE_ASSIGN_OR_RETURN(const PostingBlock lengths, DecodePostings(bytes.value_or("")));
  Block block;
  block.reserve(lengths.size());
  for (const Posting& length : lengths) {
    block.push_back({length.offset, Bm25Norm(params_, length.value, mean_length_), 0.0});
  }
  return &blocks_.emplace(number, std::move(block)).first->second;
}

Status ScoreTable::AddTerm(std::string_view term, uint32_t repetitions) {
  // The term's weight depends on all of its list, so that the list is gathered before it is used.
  std::vector<std::pair<uint64_t, std::string>> lists;
  uint64_t passages_with_term = 0;
  const std::string prefix = keys_.TermPrefix(term);
  const platform::ScanOptions scan{.prefix = prefix, .snapshot = &snapshot_};
  CONCLAVE_RETURN_IF_ERROR(store_.Scan(scan, [&](std::string_view key, std::string_view value) {
    lists.emplace_back(TrailingNumber(key).value_or(0), value);
    passages_with_term += CountPostings(value);
    return true;
  }));
  const double weight = repetitions * Bm25Idf(passages_, passages_with_term);
  for (const auto& [number, bytes] : lists) {
    CONCLAVE_ASSIGN_OR_RETURN(const PostingBlock postings, DecodePostings(bytes));
    CONCLAVE_ASSIGN_OR_RETURN(Block * block, Load(number));
    auto slot = block->begin();
    for (const Posting& posting : postings) {
      while (slot != block->end() && slot->offset < posting.offset) ++slot;
      if (slot == block->end() || slot->offset != posting.offset) {
        return DataLoss("the index is damaged: a passage has no length; ingest the collection again");
      }
      slot->score += Bm25Term(weight, posting.value, slot->norm);
    }
  }
  return Status::Ok();
}

std::vector<ScoredChunk> ScoreTable::Best(size_t count) const {
  const auto better = [](const ScoredChunk& a, const ScoredChunk& b) {
    return a.score != b.score ? a.score > b.score : a.chunk < b.chunk;
  };
  std::vector<ScoredChunk> best;  // a heap with its worst in front
  for (const auto& [number, block] : blocks_) {
    for (const Slot& slot : block) {
      if (slot.score <= 0) continue;
      const ScoredChunk candidate{number * kBlockChunks + slot.offset, slot.score};
      if (best.size() == count) {
        if (!better(candidate, best.front())) continue;
        std::pop_heap(best.begin(), best.end(), better);
        best.pop_back();
      }
      best.push_back(candidate);
      std::push_heap(best.begin(), best.end(), better);
    }
  }
  std::sort_heap(best.begin(), best.end(), better);
  return best;
}

}  // namespace conclave::retriever
