#pragma once

#include <functional>
#include <memory>

#include <caf/all.hpp>

#include "services/decoder/metrics.h"
#include "services/decoder/scheduler.h"
#include "services/decoder/step_runner.h"

namespace conclave::decoder {

/// What the scheduler is asked to do.
struct AdmitMessage {
  std::shared_ptr<SequenceRequest> request;
};
struct CancelMessage {
  std::shared_ptr<EventSink> sink;
  uint64_t id = 0;
};
/// The stream is gone, and all its sequences with it.
struct CloseMessage {
  std::shared_ptr<EventSink> sink;
};
/// From now on new sequences are refused with UNAVAILABLE; running ones finish.
struct DrainMessage {};
/// A stream that was not ready for more is ready again, or blocks have come from disk.
struct ReadyMessage {};
struct SnapshotMessage {
  std::function<void(const SchedulerStatus&)> reply;
};
/// Time for the next step; the actor sends it to itself.
struct StepMessage {};
/// The actor's own alarm: a stream may have been paused for too long.
struct PauseEndsMessage {};

/// Runs a Scheduler: a detached actor, whose own thread is the engine's first. Between two steps it takes
/// whatever messages arrived, so that a request joins, and a cancelled one leaves, within one step. While
/// there is nothing to compute, because every stream with sequences is paused, it sleeps until a message
/// comes. Time is that of the actor system's clock.
class SchedulerActor : public caf::event_based_actor {
 public:
  /// `metrics` may be null.
  SchedulerActor(caf::actor_config& config, std::shared_ptr<Scheduler> scheduler,
                 std::shared_ptr<StepRunner> runner, std::shared_ptr<DecoderMetrics> metrics = nullptr);

  caf::behavior make_behavior() override;
  /// What the prefix cache holds goes to disk, then the engine and its cache are let go: a timer may hold the
  /// actor itself for longer.
  void on_exit() override;
  const char* name() const override { return "scheduler"; }

 private:
  void Admit(SequenceRequest request);
  void ScheduleStep();
  void RunStep();
  void SetAlarm();

  std::shared_ptr<Scheduler> scheduler_;
  std::shared_ptr<StepRunner> runner_;
  std::shared_ptr<DecoderMetrics> metrics_;
  bool step_pending_ = false;
  bool alarm_pending_ = false;
  bool draining_ = false;
};

}  // namespace conclave::decoder

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::decoder::AdmitMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::decoder::CancelMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::decoder::CloseMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::decoder::DrainMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::decoder::ReadyMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::decoder::SnapshotMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::decoder::StepMessage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::decoder::PauseEndsMessage)
