#include "services/feedback/change_queue.h"

#include <utility>

#include <caf/send.hpp>

#include "services/feedback/limits.h"
#include "services/feedback/metrics.h"

namespace conclave::feedback {

ChangeQueue::ChangeQueue(caf::actor rating_actor, platform::Metrics& metrics)
    : rating_actor_(std::move(rating_actor)), pending_(metrics.Gauge(kPending)) {}

bool ChangeQueue::Reserve(size_t bytes) {
  const bool changes_fit = changes_.fetch_add(1) < kMaxPendingChanges;
  const bool bytes_fit = bytes_.fetch_add(bytes) + bytes <= kMaxPendingBytes;
  pending_.Increment();
  if (changes_fit && bytes_fit) return true;
  Release(bytes);
  return false;
}

void ChangeQueue::Release(size_t bytes) {
  pending_.Decrement();
  bytes_ -= bytes;
  changes_ -= 1;
}

void ChangeQueue::Submit(Change change, PendingChange::Callback done, std::function<bool()> abandoned) {
  const size_t bytes = ChangeBytes(change);
  if (!Reserve(bytes)) {
    Status full = ResourceExhausted("too many ratings and answers wait for the disk: try again in " +
                                    std::to_string(kRetryAfterMs) + " ms");
    return done(full.WithRetryAfterMs(kRetryAfterMs));
  }
  auto tell_then_release = [this, bytes, done = std::move(done)](Result<Committed> result) {
    done(std::move(result));
    Release(bytes);
  };
  caf::anon_send(rating_actor_, std::make_shared<PendingChange>(
                                    std::move(change), std::move(tell_then_release), std::move(abandoned)));
}

}  // namespace conclave::feedback
