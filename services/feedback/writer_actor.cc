#include "services/feedback/writer_actor.h"

#include <chrono>
#include <exception>

#include "platform/log/log.h"
#include "services/feedback/metrics.h"

namespace conclave::feedback {
namespace {

std::vector<Result<Committed>> Commit(FeedbackStore& store, const std::vector<PendingChangePtr>& pending) {
  // An allocation may throw; the callers must hear of it all the same.
  try {
    std::vector<Change> changes;
    changes.reserve(pending.size());
    for (const PendingChangePtr& one : pending) changes.push_back(std::move(one->change()));
    return store.Commit(changes);
  } catch (const std::exception& error) {
    return {pending.size(), Result<Committed>(Internal(std::string("nothing was stored: ") + error.what()))};
  }
}

void LogFailures(const std::vector<Result<Committed>>& results) {
  for (const auto& result : results) {
    const StatusCode code = result.status().code();
    const bool is_of_disk = code == StatusCode::kResourceExhausted || code == StatusCode::kUnavailable ||
                            code == StatusCode::kDataLoss || code == StatusCode::kInternal;
    if (!is_of_disk) continue;
    platform::LogError("feedback", "ratings or answers could not be stored",
                       {{"error", result.status().ToString()}, {"group", results.size()}});
    return;
  }
}

}  // namespace

caf::behavior WriterActor(caf::event_based_actor* self, FeedbackStore* store, platform::Metrics* metrics) {
  prometheus::Histogram& size = metrics->Histogram(kGroupSize, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024});
  prometheus::Histogram& seconds = metrics->Histogram(kSyncSeconds, platform::DurationBucketsS());
  return {[self, store, &size, &seconds](GroupPtr& group) {
    const auto start = std::chrono::steady_clock::now();
    group->results = Commit(*store, group->changes);
    seconds.Observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    size.Observe(static_cast<double>(group->changes.size()));
    LogFailures(group->results);
    self->send(caf::actor_cast<caf::actor>(self->current_sender()), std::move(group));
  }};
}

}  // namespace conclave::feedback
