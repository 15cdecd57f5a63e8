#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "platform/storage/durable_store.h"
#include "services/retriever/bm25.h"
#include "services/retriever/index_keys.h"

namespace conclave::retriever {

struct ScoredChunk {
  uint64_t chunk;
  double score;
};

/// The scores of the passages that a search has met, term by term: about 24 bytes for each passage of the
/// blocks that it touched. Not thread-safe.
class ScoreTable {
 public:
  /// All must outlive the table. `passages` and `mean_length`: of the collection, as of the snapshot.
  ScoreTable(const platform::DurableStore& store, const platform::StoreSnapshot& snapshot,
             const DataKeys& keys, const Bm25Params& params, uint64_t passages, double mean_length)
      : store_(store),
        snapshot_(snapshot),
        keys_(keys),
        params_(params),
        passages_(passages),
        mean_length_(mean_length) {}

  /// Adds a term that occurs `repetitions` times in the query.
  Status AddTerm(std::string_view term, uint32_t repetitions);

  /// The best `count`, best first; earlier passages first among equals.
  std::vector<ScoredChunk> Best(size_t count) const;

 private:
  struct Slot {
    uint16_t offset;
    double norm;
    double score;
  };
  using Block = std::vector<Slot>;

  Result<Block*> Load(uint64_t number);

  const platform::DurableStore& store_;
  const platform::StoreSnapshot& snapshot_;
  const DataKeys& keys_;
  const Bm25Params params_;
  const uint64_t passages_;
  const double mean_length_;
  std::unordered_map<uint64_t, Block> blocks_;
};

}  // namespace conclave::retriever
