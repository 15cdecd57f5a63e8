#pragma once

#include <functional>
#include <unordered_map>

#include <caf/all.hpp>

#include "platform/metrics/metrics.h"
#include "services/router/fair_queue.h"

namespace conclave::router {

struct AcquireMessage {
  Ticket ticket;
  std::function<void(Status)> done;
};
struct ReleaseMessage {
  Ticket ticket;
  int64_t used_tokens = 0;
};

/// Lets requests run in a fair order; see FairQueue. Refuses at once when the queue is full.
class AdmissionActor : public caf::event_based_actor {
 public:
  AdmissionActor(caf::actor_config& config, const FairQueueLimits& limits, platform::Metrics& metrics);

  caf::behavior make_behavior() override;
  const char* name() const override { return "admission"; }

 private:
  void Acquire(const AcquireMessage& message);
  void Release(const ReleaseMessage& message);
  void LetRun();

  FairQueue queue_;
  std::unordered_map<uint64_t, std::function<void(Status)>> waiting_;
  prometheus::Gauge& queued_requests_;
  prometheus::Gauge& queued_tokens_;
  prometheus::Gauge& running_requests_;
};

}  // namespace conclave::router

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::AcquireMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::ReleaseMessage)
