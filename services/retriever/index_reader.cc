#include "services/retriever/index_reader.h"

#include <map>
#include <utility>

#include "conclave/v1/retriever_storage.pb.h"
#include "services/retriever/index_keys.h"
#include "services/retriever/limits.h"
#include "services/retriever/score_table.h"
#include "services/retriever/stored_messages.h"

namespace conclave::retriever {
namespace {

Result<std::vector<SearchHit>> ReadHits(const platform::DurableStore& store,
                                        const platform::StoreSnapshot& snapshot, const DataKeys& keys,
                                        const std::vector<ScoredChunk>& best) {
  std::vector<SearchHit> hits;
  size_t bytes = 0;
  for (const ScoredChunk& scored : best) {
    CONCLAVE_ASSIGN_OR_RETURN(auto stored,
                              GetMessage<v1::StoredChunk>(store, keys.Chunk(scored.chunk), &snapshot));
    if (!stored) return DataLoss("the index is damaged: a passage is missing; ingest the collection again");
    bytes += stored->ByteSizeLong();
    if (bytes > kMaxAnswerBytes) break;
    Chunk chunk{std::move(*stored->mutable_heading()), std::move(*stored->mutable_text())};
    hits.push_back({scored.chunk, std::move(*stored->mutable_source()), std::move(chunk), scored.score});
  }
  return hits;
}

}  // namespace

Result<std::vector<SearchHit>> IndexReader::Search(const CollectionId& collection,
                                                   const std::vector<std::string>& terms, size_t top_n,
                                                   const std::function<bool()>& cancelled) const {
  const platform::StoreSnapshot snapshot = store_.TakeSnapshot();
  CONCLAVE_ASSIGN_OR_RETURN(const auto statistics,
                            GetMessage<v1::StoredCollection>(store_, CollectionKey(collection), &snapshot));
  if (!statistics) {
    return NotFound("there is no collection '" + collection.name + "'; ingest a document into it first");
  }
  if (statistics->chunks() == 0 || statistics->terms() == 0) return std::vector<SearchHit>();
  std::map<std::string_view, uint32_t> repetitions;
  for (const std::string& term : terms) ++repetitions[term];
  const DataKeys keys(collection);
  const double mean_length =
      static_cast<double>(statistics->terms()) / static_cast<double>(statistics->chunks());
  ScoreTable scores(store_, snapshot, keys, params_, statistics->chunks(), mean_length);
  for (const auto& [term, count] : repetitions) {
    if (cancelled && cancelled()) return Cancelled("the caller is gone");
    CONCLAVE_RETURN_IF_ERROR(scores.AddTerm(term, count));
  }
  return ReadHits(store_, snapshot, keys, scores.Best(top_n));
}

Result<std::vector<CollectionSummary>> IndexReader::ListCollections(const std::string& tenant) const {
  std::vector<CollectionSummary> collections;
  bool damaged = false;
  const std::string prefix = CollectionPrefix(tenant);
  CONCLAVE_RETURN_IF_ERROR(store_.Scan({.prefix = prefix}, [&](std::string_view key, std::string_view value) {
    v1::StoredCollection stored;
    damaged = !stored.ParseFromArray(value.data(), static_cast<int>(value.size()));
    if (damaged) return false;
    collections.push_back(
        {std::string(key.substr(prefix.size())), stored.documents(), stored.chunks(), stored.text_bytes()});
    return true;
  }));
  if (damaged) return DataLoss("the index is damaged: a collection's record cannot be read");
  return collections;
}

}  // namespace conclave::retriever
