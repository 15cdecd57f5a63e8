#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/storage/durable_store.h"
#include "services/retriever/bm25.h"
#include "services/retriever/document.h"

namespace conclave::retriever {

/// A passage that was found.
struct SearchHit {
  uint64_t chunk_number;
  std::string source;
  Chunk chunk;
  double score;
};

struct CollectionSummary {
  std::string name;
  uint64_t documents;
  uint64_t chunks;
  uint64_t text_bytes;
};

/// Reads an index, each call as of one moment: every document is there as a whole or not at all. Any thread.
class IndexReader {
 public:
  /// `store` must outlive the reader.
  explicit IndexReader(const platform::DurableStore& store, const Bm25Params& params = {})
      : store_(store), params_(params) {}

  /// The `top_n` best passages with any of the terms, best first, earlier ingested ones first among equals;
  /// fewer when their text comes to kMaxAnswerBytes. Costs the lists of the terms: about 10 ns for each
  /// passage that a term is in. `terms`: of the query, repetitions included. `cancelled` is asked between
  /// terms. Errors: NOT_FOUND (no such collection), CANCELLED, those of DurableStore.
  Result<std::vector<SearchHit>> Search(const CollectionId& collection, const std::vector<std::string>& terms,
                                        size_t top_n, const std::function<bool()>& cancelled = {}) const;

  /// A tenant's collections by name.
  Result<std::vector<CollectionSummary>> ListCollections(const std::string& tenant) const;

 private:
  const platform::DurableStore& store_;
  Bm25Params params_;
};

}  // namespace conclave::retriever
