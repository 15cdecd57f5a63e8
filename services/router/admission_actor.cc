#include "services/router/admission_actor.h"

#include "services/router/metrics.h"

namespace conclave::router {

AdmissionActor::AdmissionActor(caf::actor_config& config, const FairQueueLimits& limits,
                               platform::Metrics& metrics)
    : caf::event_based_actor(config),
      queue_(limits),
      queued_requests_(metrics.Gauge(kQueuedRequests)),
      queued_tokens_(metrics.Gauge(kQueuedTokens)),
      running_requests_(metrics.Gauge(kRunningRequests)) {}

caf::behavior AdmissionActor::make_behavior() {
  return {
      [this](const AcquireMessage& message) { Acquire(message); },
      [this](const ReleaseMessage& message) { Release(message); },
  };
}

void AdmissionActor::Acquire(const AcquireMessage& message) {
  const Status status = queue_.Add(message.ticket);
  if (!status.ok()) return message.done(status);
  waiting_.emplace(message.ticket.id, message.done);
  LetRun();
}

void AdmissionActor::Release(const ReleaseMessage& message) {
  if (queue_.Remove(message.ticket.id)) {
    waiting_.erase(message.ticket.id);
  } else {
    queue_.Finish(message.ticket, message.used_tokens);
  }
  LetRun();
}

void AdmissionActor::LetRun() {
  while (const auto ticket = queue_.Next()) {
    auto entry = waiting_.extract(ticket->id);
    entry.mapped()(Status::Ok());
  }
  queued_requests_.Set(static_cast<double>(queue_.queued_requests()));
  queued_tokens_.Set(static_cast<double>(queue_.queued_tokens()));
  running_requests_.Set(static_cast<double>(queue_.running_requests()));
}

}  // namespace conclave::router
