#include "services/retriever/index_actor.h"

#include <chrono>
#include <utility>

#include <caf/event_based_actor.hpp>

namespace conclave::retriever {
namespace {

void Write(IndexWriter& writer, const IngestMetrics& metrics, IngestGroup& group) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<const PreparedDocument*> documents;
  for (const IngestGroup::Item& item : group.items) documents.push_back(&item.prepared);
  group.results = writer.Add(documents);
  for (size_t i = 0; i < documents.size(); ++i) {
    if (!group.results[i].ok()) continue;
    metrics.documents->Increment();
    metrics.chunks->Increment(static_cast<double>(documents[i]->passages.size()));
  }
  metrics.write_seconds->Observe(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

}  // namespace

caf::behavior IndexActor(caf::stateful_actor<IndexState>* self, IndexWriter* writer, IngestMetrics metrics) {
  self->state.writer = writer;
  self->state.metrics = metrics;
  return {
      [self](const IngestGroupPtr& group) {
        Write(*self->state.writer, self->state.metrics, *group);
        // Before the documents that wait to be prepared: streams go on when they hear of it.
        self->send<caf::message_priority::high>(caf::actor_cast<caf::actor>(self->current_sender()), group);
      },
      [self](const DeleteOrderPtr& order) {
        IndexWriter& index = *self->state.writer;
        order->done(order->source.empty() ? index.DeleteCollection(order->collection)
                                          : index.DeleteSource(order->collection, order->source));
      },
  };
}

}  // namespace conclave::retriever
