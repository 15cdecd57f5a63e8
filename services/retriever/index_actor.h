#pragma once

#include <functional>
#include <memory>
#include <string>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/behavior.hpp>
#include <caf/stateful_actor.hpp>

#include "services/retriever/index_writer.h"
#include "services/retriever/ingest_actor.h"
#include "services/retriever/metrics.h"

namespace conclave::retriever {

/// A deletion on its way to the disk.
struct DeleteOrder {
  CollectionId collection;
  /// Empty: the whole collection.
  std::string source;
  std::function<void(Result<DeleteCounts>)> done;
  Charge place;
};

using DeleteOrderPtr = std::shared_ptr<DeleteOrder>;

/// The state of the IndexActor.
struct IndexState {
  IndexWriter* writer = nullptr;
  IngestMetrics metrics;

  static inline const char* name = "retriever.index";  // NOLINT: CAF reads it
};

/// The one actor that changes the index: writes an IngestGroupPtr and sends it back with its results; carries
/// out a DeleteOrderPtr. It blocks on the disk: run it detached. `writer` must outlive it.
caf::behavior IndexActor(caf::stateful_actor<IndexState>* self, IndexWriter* writer, IngestMetrics metrics);

}  // namespace conclave::retriever

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::retriever::DeleteOrderPtr)
