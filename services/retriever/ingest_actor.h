#pragma once

#include <deque>
#include <memory>
#include <vector>

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/behavior.hpp>
#include <caf/stateful_actor.hpp>

#include "base/status.h"
#include "services/retriever/analyzer.h"
#include "services/retriever/ingest_session.h"

namespace conclave::retriever {

using PendingDocumentPtr = std::shared_ptr<PendingDocument>;

/// What one synchronous write holds, and afterwards what became of each document.
struct IngestGroup {
  struct Item {
    PendingDocumentPtr pending;
    PreparedDocument prepared;
  };
  std::vector<Item> items;
  std::vector<Status> results;
};

using IngestGroupPtr = std::shared_ptr<IngestGroup>;

/// The state of the IngestActor.
struct IngestState {
  caf::actor index;
  std::shared_ptr<Analyzer> analyzer;
  /// Prepared, in order of arrival; bounded by what the streams may have pending.
  std::deque<IngestGroup::Item> prepared;
  bool writing = false;

  static inline const char* name = "retriever.ingest";  // NOLINT: CAF reads it
};

/// Takes a PendingDocumentPtr from anyone, prepares it (extracts, cuts, analyses: the reason to run this
/// actor detached), and sends one IngestGroupPtr at a time to `index`, which sends it back with its results.
/// What is prepared while a write runs is written together by the next one; the order of arrival is kept.
/// Documents of abandoned streams are dropped.
caf::behavior IngestActor(caf::stateful_actor<IngestState>* self, caf::actor index,
                          std::shared_ptr<Analyzer> analyzer);

}  // namespace conclave::retriever

// They stay in this process.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::retriever::PendingDocumentPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::retriever::IngestGroupPtr)
