#include "services/retriever/ingest_actor.h"

#include <exception>
#include <utility>

#include <caf/event_based_actor.hpp>

#include "services/retriever/limits.h"
#include "services/retriever/prepare_document.h"

namespace conclave::retriever {
namespace {

IngestGroupPtr TakeGroup(std::deque<IngestGroup::Item>& prepared) {
  auto group = std::make_shared<IngestGroup>();
  size_t bytes = 0;
  while (!prepared.empty() && group->items.size() < kMaxGroupDocuments) {
    IngestGroup::Item& next = prepared.front();
    if (next.pending->session->abandoned()) {
      next.pending->session->Failed(*next.pending, Cancelled("the client is gone"));
    } else if (!group->items.empty() && bytes + next.pending->bytes > kMaxGroupBytes) {
      break;
    } else {
      bytes += next.pending->bytes;
      group->items.push_back(std::move(next));
    }
    prepared.pop_front();
  }
  return group;
}

void StartWrite(caf::stateful_actor<IngestState>* self) {
  IngestGroupPtr group = TakeGroup(self->state.prepared);
  self->state.writing = !group->items.empty();
  if (self->state.writing) self->send(self->state.index, std::move(group));
}

/// The libraries that read text may run out of memory; that is this document's trouble alone.
Result<Preparation> Prepare(const Document& document, Analyzer& analyzer) {
  try {
    return PrepareDocument(document, analyzer);
  } catch (const std::exception& error) {
    return ResourceExhausted("'" + document.source + "' could not be read: " + error.what());
  }
}

void Receive(caf::stateful_actor<IngestState>* self, const PendingDocumentPtr& pending) {
  IngestSession& session = *pending->session;
  if (session.abandoned()) return session.Failed(*pending, Cancelled("the client is gone"));
  auto preparation = Prepare(pending->document, *self->state.analyzer);
  if (!preparation.ok()) return session.Failed(*pending, preparation.status());
  pending->document.content = std::string();
  if (!preparation->skip_reason.empty()) return session.Skipped(*pending, preparation->skip_reason);
  self->state.prepared.push_back({pending, std::move(preparation->document)});
  if (!self->state.writing) StartWrite(self);
}

void Settle(const IngestGroup& group) {
  for (size_t i = 0; i < group.items.size(); ++i) {
    const IngestGroup::Item& item = group.items[i];
    if (group.results[i].ok()) {
      item.pending->session->Stored(*item.pending, item.prepared.passages.size());
    } else {
      item.pending->session->Failed(*item.pending, group.results[i]);
    }
  }
}

}  // namespace

caf::behavior IngestActor(caf::stateful_actor<IngestState>* self, caf::actor index,
                          std::shared_ptr<Analyzer> analyzer) {
  self->state.index = std::move(index);
  self->state.analyzer = std::move(analyzer);
  return {
      [self](const PendingDocumentPtr& pending) { Receive(self, pending); },
      [self](const IngestGroupPtr& written) {
        // The next write goes first: clients are told while the disk works.
        StartWrite(self);
        Settle(*written);
      },
  };
}

}  // namespace conclave::retriever
