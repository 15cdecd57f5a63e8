#include "services/decoder/scheduler_actor.h"

#include <utility>

namespace conclave::decoder {

SchedulerActor::SchedulerActor(caf::actor_config& config, std::shared_ptr<Scheduler> scheduler,
                               std::shared_ptr<StepRunner> runner)
    : caf::event_based_actor(config), scheduler_(std::move(scheduler)), runner_(std::move(runner)) {}

caf::behavior SchedulerActor::make_behavior() {
  return {
      [this](const AdmitMessage& message) {
        Admit(std::move(*message.request));
        ScheduleStep();
      },
      [this](const CancelMessage& message) { scheduler_->Cancel(message.sink.get(), message.id); },
      [this](const CloseMessage& message) { scheduler_->CancelAll(message.sink.get()); },
      [this](const DrainMessage&) { draining_ = true; },
      [this](const SnapshotMessage& message) { message.reply(scheduler_->Snapshot()); },
      [this](const StepMessage&) {
        step_pending_ = false;
        runner_->RunStep(*scheduler_);
        ScheduleStep();
      },
  };
}

void SchedulerActor::Admit(SequenceRequest request) {
  const auto sink = request.sink;
  const uint64_t id = request.id;
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  const Status status = draining_ ? Unavailable("the decoder is shutting down; try another one")
                                  : scheduler_->Admit(std::move(request));
  if (status.ok()) return;
  SequenceEvent refused{.sequence_id = id};
  refused.end = SequenceEnd{.error = status, .prompt_tokens = prompt_tokens};
  sink->Deliver({std::move(refused)});
}

void SchedulerActor::ScheduleStep() {
  if (step_pending_ || !scheduler_->HasWork()) return;
  step_pending_ = true;
  send(this, StepMessage{});
}

}  // namespace conclave::decoder
