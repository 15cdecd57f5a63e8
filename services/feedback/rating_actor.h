#pragma once

#include <deque>

#include <caf/behavior.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "services/feedback/pending_change.h"

namespace conclave::feedback {

/// The state of the RatingActor: the open write batch.
struct RatingState {
  caf::actor writer;
  /// In order of arrival; bounded by the ChangeQueue in front of the actor.
  std::deque<PendingChangePtr> waiting;
  bool writing = false;

  static inline const char* name = "feedback.rating";  // NOLINT: CAF reads it
};

/// Group commit: changes that arrive while a write runs are written together by the next one. Takes a
/// PendingChangePtr from anyone and sends one GroupPtr at a time to `writer`, which sends it back with its
/// results; they reach their callers only then. Groups are bounded (kMaxGroupChanges, kMaxGroupBytes) and
/// keep the order of arrival.
caf::behavior RatingActor(caf::stateful_actor<RatingState>* self, caf::actor writer);

}  // namespace conclave::feedback
