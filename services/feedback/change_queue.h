#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

#include <caf/actor.hpp>

#include "platform/metrics/metrics.h"
#include "services/feedback/pending_change.h"

namespace conclave::feedback {

/// The bounded way to the RatingActor: at most kMaxPendingChanges changes and kMaxPendingBytes bytes are
/// between Submit and their callbacks. Any thread may call. Must outlive the callbacks: the actor must have
/// ended before this goes.
class ChangeQueue {
 public:
  ChangeQueue(caf::actor rating_actor, platform::Metrics& metrics);

  /// Sends a change on its way; `done` runs exactly once. kResourceExhausted, at once and with a retry hint,
  /// when the queue is full.
  void Submit(Change change, PendingChange::Callback done, std::function<bool()> abandoned = nullptr);

  /// No change is on its way.
  bool idle() const { return changes_ == 0; }

 private:
  bool Reserve(size_t bytes);
  void Release(size_t bytes);

  const caf::actor rating_actor_;
  prometheus::Gauge& pending_;
  std::atomic<size_t> changes_ = 0;
  std::atomic<size_t> bytes_ = 0;
};

}  // namespace conclave::feedback
