#include "services/feedback/rating_actor.h"

#include "services/feedback/limits.h"

namespace conclave::feedback {
namespace {

/// Takes the next group out of what waits; empty when nobody waits any more.
GroupPtr TakeGroup(std::deque<PendingChangePtr>& waiting) {
  auto group = std::make_shared<Group>();
  size_t bytes = 0;
  while (!waiting.empty() && group->changes.size() < kMaxGroupChanges) {
    PendingChangePtr& next = waiting.front();
    if (next->abandoned()) {
      next->Finish(Cancelled("the caller went away before the disk was free: nothing was stored"));
    } else if (!group->changes.empty() && bytes + next->bytes() > kMaxGroupBytes) {
      break;
    } else {
      bytes += next->bytes();
      group->changes.push_back(std::move(next));
    }
    waiting.pop_front();
  }
  return group;
}

void StartWrite(caf::stateful_actor<RatingState>* self) {
  GroupPtr group = TakeGroup(self->state.waiting);
  self->state.writing = !group->changes.empty();
  if (self->state.writing) self->send(self->state.writer, std::move(group));
}

}  // namespace

caf::behavior RatingActor(caf::stateful_actor<RatingState>* self, caf::actor writer) {
  self->state.writer = std::move(writer);
  return {
      [self](PendingChangePtr& change) {
        self->state.waiting.push_back(std::move(change));
        if (!self->state.writing) StartWrite(self);
      },
      [self](const GroupPtr& written) {
        // The next write goes first: callers are told while the disk works.
        StartWrite(self);
        for (size_t i = 0; i < written->changes.size(); ++i) {
          written->changes[i]->Finish(std::move(written->results[i]));
        }
      },
  };
}

}  // namespace conclave::feedback
