#include "services/retriever/index_writer.h"

#include "services/retriever/index_keys.h"
#include "services/retriever/limits.h"
#include "services/retriever/stored_messages.h"

namespace conclave::retriever {
namespace {

/// A collection that is gone or was never there.
Status NoCollection(const CollectionId& collection) {
  return NotFound("there is no collection '" + collection.name + "'; ingest a document into it first");
}

v1::StoredSource Describe(const PreparedDocument& document, uint64_t first_chunk) {
  v1::StoredSource source;
  source.set_first_chunk(first_chunk);
  source.set_chunks(document.passages.size());
  source.set_text_bytes(document.text_bytes);
  uint64_t total = 0;
  std::set<std::string_view> terms;
  for (const auto& passage : document.passages) {
    total += passage.length;
    for (const auto& [term, count] : passage.terms) terms.insert(term);
  }
  source.set_total_terms(total);
  for (const std::string_view term : terms) source.add_terms(term.data(), term.size());
  return source;
}

}  // namespace

Result<std::unique_ptr<platform::DurableStore>> OpenIndex(const std::filesystem::path& path) {
  CONCLAVE_ASSIGN_OR_RETURN(auto store, platform::DurableStore::Open(path));
  CONCLAVE_ASSIGN_OR_RETURN(const auto version, store->Get(kVersionKey));
  if (!version) {
    CONCLAVE_RETURN_IF_ERROR(store->Put(kVersionKey, kLayoutVersion, platform::Durability::kSync));
  } else if (*version != kLayoutVersion) {
    return FailedPrecondition("the index in " + path.string() + " has layout " + *version +
                              ", this program reads " + std::string(kLayoutVersion) +
                              ": move the folder away and ingest again");
  }
  return store;
}

std::vector<Status> IndexWriter::Add(const std::vector<const PreparedDocument*>& documents) {
  std::vector<Status> results(documents.size());
  size_t open = 0;  // the first document of the write that is being staged
  std::vector<bool> refused(documents.size());
  const auto finish = [&](size_t end, const Status& status) {
    for (; open < end; ++open) {
      if (!refused[open]) results[open] = status;
    }
  };
  for (size_t i = 0; i < documents.size(); ++i) {
    if (staged_sources_.contains({documents[i]->collection, documents[i]->source})) finish(i, Commit());
    bool refuse = false;
    results[i] = Stage(*documents[i], &refuse);
    refused[i] = refuse;
    if (results[i].ok() || refuse) continue;
    // Half of its changes may be staged: nothing of this write can be kept.
    Drop();
    finish(i + 1, results[i]);
  }
  finish(documents.size(), Commit());
  return results;
}

Status IndexWriter::Stage(const PreparedDocument& document, bool* refused) {
  const DataKeys keys(document.collection);
  const std::string source_key = keys.Source(document.source);
  CONCLAVE_ASSIGN_OR_RETURN(const auto old, GetMessage<v1::StoredSource>(store_, source_key));
  CONCLAVE_ASSIGN_OR_RETURN(v1::StoredCollection * statistics, Statistics(document.collection));
  if (statistics == nullptr) {
    if (Status status = CheckNewCollection(document.collection); !status.ok()) {
      *refused = true;
      return status;
    }
    statistics = &statistics_[document.collection];
  }
  const uint64_t chunks = statistics->chunks() - (old ? old->chunks() : 0) + document.passages.size();
  if (chunks > kMaxCollectionChunks) {
    *refused = true;
    return ResourceExhausted("collection '" + document.collection.name + "' is full (" +
                             std::to_string(kMaxCollectionChunks) +
                             " passages): use another, or delete from it");
  }
  if (old) CONCLAVE_RETURN_IF_ERROR(StageRemoval(keys, source_key, *old, *statistics));
  const v1::StoredSource source = Describe(document, statistics->next_chunk());
  CONCLAVE_RETURN_IF_ERROR(StagePassages(document, keys, source.first_chunk()));
  batch_.Put(source_key, source.SerializeAsString());
  statistics->set_documents(statistics->documents() + 1);
  statistics->set_chunks(statistics->chunks() + source.chunks());
  statistics->set_text_bytes(statistics->text_bytes() + source.text_bytes());
  statistics->set_terms(statistics->terms() + source.total_terms());
  statistics->set_next_chunk(statistics->next_chunk() + source.chunks());
  staged_sources_.emplace(document.collection, document.source);
  return Status::Ok();
}

Status IndexWriter::StagePassages(const PreparedDocument& document, const DataKeys& keys,
                                  uint64_t first_chunk) {
  for (size_t i = 0; i < document.passages.size(); ++i) {
    const auto& passage = document.passages[i];
    const uint64_t chunk = first_chunk + i, block = chunk / kBlockChunks;
    const auto offset = static_cast<uint16_t>(chunk % kBlockChunks);
    v1::StoredChunk stored;
    stored.set_source(document.source);
    stored.set_heading(passage.chunk.heading);
    stored.set_text(passage.chunk.text);
    batch_.Put(keys.Chunk(chunk), stored.SerializeAsString());
    CONCLAVE_ASSIGN_OR_RETURN(PostingBlock * lengths, edits_.Edit(keys.Lengths(block)));
    SetPosting(*lengths, {offset, passage.length});
    for (const auto& [term, count] : passage.terms) {
      CONCLAVE_ASSIGN_OR_RETURN(PostingBlock * postings, edits_.Edit(keys.Postings(term, block)));
      SetPosting(*postings, {offset, count});
    }
  }
  return Status::Ok();
}

Status IndexWriter::StageRemoval(const DataKeys& keys, const std::string& source_key,
                                 const v1::StoredSource& source, v1::StoredCollection& statistics) {
  if (source.chunks() > 0) {
    const uint64_t first = source.first_chunk(), last = first + source.chunks() - 1;
    for (const std::string& term : source.terms()) {
      CONCLAVE_RETURN_IF_ERROR(edits_.EraseRange(keys.TermPrefix(term), first, last));
    }
    CONCLAVE_RETURN_IF_ERROR(edits_.EraseRange(keys.prefix() + 'l', first, last));
    for (uint64_t chunk = first; chunk <= last; ++chunk) batch_.Delete(keys.Chunk(chunk));
  }
  batch_.Delete(source_key);
  statistics.set_documents(statistics.documents() - 1);
  statistics.set_chunks(statistics.chunks() - source.chunks());
  statistics.set_text_bytes(statistics.text_bytes() - source.text_bytes());
  statistics.set_terms(statistics.terms() - source.total_terms());
  return Status::Ok();
}

Result<v1::StoredCollection*> IndexWriter::Statistics(const CollectionId& collection) {
  if (const auto found = statistics_.find(collection); found != statistics_.end()) return &found->second;
  CONCLAVE_ASSIGN_OR_RETURN(auto stored, GetMessage<v1::StoredCollection>(store_, CollectionKey(collection)));
  if (!stored) return static_cast<v1::StoredCollection*>(nullptr);
  return &(statistics_[collection] = *std::move(stored));
}

Status IndexWriter::CheckNewCollection(const CollectionId& collection) {
  size_t collections = 0;
  const std::string prefix = CollectionPrefix(collection.tenant);
  CONCLAVE_RETURN_IF_ERROR(store_.Scan({.prefix = prefix}, [&](std::string_view, std::string_view) {
    return ++collections < kMaxCollectionsPerTenant;
  }));
  for (const auto& [id, statistics] : statistics_) collections += id.tenant == collection.tenant;
  if (collections < kMaxCollectionsPerTenant) return Status::Ok();
  return ResourceExhausted("there are " + std::to_string(kMaxCollectionsPerTenant) +
                           " collections already: delete one first");
}

Result<DeleteCounts> IndexWriter::DeleteSource(const CollectionId& collection, const std::string& source) {
  const DataKeys keys(collection);
  const std::string source_key = keys.Source(source);
  CONCLAVE_ASSIGN_OR_RETURN(v1::StoredCollection * statistics, Statistics(collection));
  if (statistics == nullptr) return NoCollection(collection);
  CONCLAVE_ASSIGN_OR_RETURN(const auto stored, GetMessage<v1::StoredSource>(store_, source_key));
  if (!stored) {
    Drop();
    return NotFound("collection '" + collection.name + "' has no source '" + source + "'");
  }
  Status status = StageRemoval(keys, source_key, *stored, *statistics);
  if (status.ok()) {
    status = Commit();
  } else {
    Drop();
  }
  CONCLAVE_RETURN_IF_ERROR(status);
  return DeleteCounts{1, stored->chunks()};
}

Result<DeleteCounts> IndexWriter::DeleteCollection(const CollectionId& collection) {
  CONCLAVE_ASSIGN_OR_RETURN(const auto stored,
                            GetMessage<v1::StoredCollection>(store_, CollectionKey(collection)));
  if (!stored) return NoCollection(collection);
  batch_.DeletePrefix(DataKeys(collection).prefix());
  batch_.Delete(CollectionKey(collection));
  CONCLAVE_RETURN_IF_ERROR(Commit());
  return DeleteCounts{stored->documents(), stored->chunks()};
}

Status IndexWriter::Commit() {
  Status status;
  if (resume_first_) status = store_.TryResume();
  resume_first_ = !status.ok();
  edits_.MoveInto(batch_);
  for (const auto& [id, statistics] : statistics_)
    batch_.Put(CollectionKey(id), statistics.SerializeAsString());
  if (status.ok() && !batch_.empty()) {
    status = store_.Write(std::move(batch_), platform::Durability::kSync);
    resume_first_ = !status.ok();
  }
  Drop();
  return status;
}

void IndexWriter::Drop() {
  edits_.Clear();
  batch_ = platform::WriteBatch();
  statistics_.clear();
  staged_sources_.clear();
}

}  // namespace conclave::retriever
