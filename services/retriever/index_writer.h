#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "conclave/v1/retriever_storage.pb.h"
#include "platform/storage/durable_store.h"
#include "services/retriever/document.h"
#include "services/retriever/index_keys.h"
#include "services/retriever/posting_edits.h"

namespace conclave::retriever {

/// Opens the index in the folder `path`, or makes it. Errors: those of DurableStore::Open;
/// FAILED_PRECONDITION when another version of Conclave wrote it.
Result<std::unique_ptr<platform::DurableStore>> OpenIndex(const std::filesystem::path& path);

struct DeleteCounts {
  uint64_t documents = 0;
  uint64_t chunks = 0;
};

/// The only one that changes an index. Every change is one synchronous write batch: a reader sees all of it
/// or nothing. Not thread-safe.
class IndexWriter {
 public:
  /// `store` must outlive the writer.
  explicit IndexWriter(platform::DurableStore& store) : store_(store), edits_(store) {}

  /// Adds the documents in order, each replacing the one with its source; what is Ok in the answer is on
  /// disk. They share a write unless a source occurs twice. Errors, for each: RESOURCE_EXHAUSTED (the
  /// collection or the tenant is full; the disk is full), and those of DurableStore.
  std::vector<Status> Add(const std::vector<const PreparedDocument*>& documents);

  /// NOT_FOUND: no such collection, or no such source.
  Result<DeleteCounts> DeleteSource(const CollectionId& collection, const std::string& source);
  Result<DeleteCounts> DeleteCollection(const CollectionId& collection);

 private:
  Result<v1::StoredCollection*> Statistics(const CollectionId& collection);
  Status CheckNewCollection(const CollectionId& collection);
  Status Stage(const PreparedDocument& document, bool* refused);
  Status StagePassages(const PreparedDocument& document, const DataKeys& keys, uint64_t first_chunk);
  Status StageRemoval(const DataKeys& keys, const std::string& source_key, const v1::StoredSource& source,
                      v1::StoredCollection& statistics);
  Status Commit();
  void Drop();

  platform::DurableStore& store_;
  PostingEdits edits_;
  platform::WriteBatch batch_;
  std::map<CollectionId, v1::StoredCollection> statistics_;
  std::set<std::pair<CollectionId, std::string>> staged_sources_;
  bool resume_first_ = false;  // the last write failed
};

}  // namespace conclave::retriever
