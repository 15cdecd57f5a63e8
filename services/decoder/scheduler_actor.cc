#include "services/decoder/scheduler_actor.h"

#include <utility>

namespace conclave::decoder {

SchedulerActor::SchedulerActor(caf::actor_config& config, std::shared_ptr<Scheduler> scheduler,
                               std::shared_ptr<StepRunner> runner, std::shared_ptr<DecoderMetrics> metrics)
    : caf::event_based_actor(config),
      scheduler_(std::move(scheduler)),
      runner_(std::move(runner)),
      metrics_(std::move(metrics)) {}

caf::behavior SchedulerActor::make_behavior() {
  return {
      [this](const AdmitMessage& message) {
        Admit(std::move(*message.request));
        ScheduleStep();
      },
      [this](const CancelMessage& message) {
        scheduler_->Cancel(message.sink.get(), message.id);
        ScheduleStep();  // Others may have waited for its place.
      },
      [this](const CloseMessage& message) {
        scheduler_->CancelAll(message.sink.get());
        ScheduleStep();
      },
      [this](const DrainMessage&) { draining_ = true; },
      [this](const ReadyMessage&) { ScheduleStep(); },
      [this](const SnapshotMessage& message) { message.reply(scheduler_->Snapshot()); },
      [this](const StepMessage&) {
        step_pending_ = false;
        RunStep();
      },
      [this](const PauseEndsMessage&) {
        alarm_pending_ = false;
        ScheduleStep();
      },
  };
}

void SchedulerActor::on_exit() {
  scheduler_->Save();
  scheduler_.reset();
  runner_.reset();
  metrics_.reset();
}

void SchedulerActor::Admit(SequenceRequest request) {
  const auto sink = request.sink;
  const int64_t prompt_tokens = request.prompt_tokens();
  std::vector<uint64_t> ids = {request.id};
  for (const FurtherAnswer& answer : request.further) ids.push_back(answer.id);
  const Status status = draining_ ? Unavailable("the decoder is shutting down; try another one")
                                  : scheduler_->Admit(std::move(request));
  if (status.ok()) return;
  std::vector<SequenceEvent> refused;
  for (const uint64_t id : ids) {
    refused.push_back(
        {.sequence_id = id, .end = SequenceEnd{.error = status, .prompt_tokens = prompt_tokens}});
  }
  sink->Deliver(std::move(refused));
}

void SchedulerActor::ScheduleStep() {
  if (step_pending_) return;
  if (!scheduler_->HasWork()) {
    if (metrics_ != nullptr) metrics_->Update(scheduler_->Snapshot());
    return;
  }
  step_pending_ = true;
  send(this, StepMessage{});
}

/// A step that computed nothing is not followed by another: what it lacked, a message will bring.
void SchedulerActor::RunStep() {
  auto& clock = system().clock();
  const auto start = clock.now();
  const bool computed = runner_->RunStep(*scheduler_, [&] { return clock.now(); });
  if (metrics_ != nullptr) {
    metrics_->Update(scheduler_->Snapshot());
    if (computed) metrics_->CountStep(std::chrono::duration<double>(clock.now() - start).count());
  }
  if (computed) {
    ScheduleStep();
  } else {
    SetAlarm();
  }
}

/// Pauses that begin later end later, so an alarm that is set already is early enough.
void SchedulerActor::SetAlarm() {
  if (scheduler_->Loading()) {
    delayed_send(this, std::chrono::milliseconds(kLongestDiskLoadMs), ReadyMessage{});
  }
  const auto pause_ends = scheduler_->PauseEnds();
  if (alarm_pending_ || !pause_ends.has_value()) return;
  alarm_pending_ = true;
  delayed_send(this, *pause_ends - system().clock().now(), PauseEndsMessage{});
}

}  // namespace conclave::decoder
