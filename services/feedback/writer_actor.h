#pragma once

#include <caf/behavior.hpp>
#include <caf/event_based_actor.hpp>

#include "platform/metrics/metrics.h"
#include "services/feedback/feedback_store.h"
#include "services/feedback/pending_change.h"

namespace conclave::feedback {

/// Writes one GroupPtr after another with FeedbackStore::Commit and sends each back to its sender with one
/// result for each change. It blocks on the disk: spawn it detached, so that it has a thread of its own. It
/// is the only one that writes to `store`; `store` and `metrics` must outlive it.
caf::behavior WriterActor(caf::event_based_actor* self, FeedbackStore* store, platform::Metrics* metrics);

}  // namespace conclave::feedback
