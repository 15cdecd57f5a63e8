#include "services/feedback/export_actor.h"

#include <utility>

#include <caf/send.hpp>

#include "services/feedback/limits.h"

namespace conclave::feedback {
namespace {

enum class Progress { kWaiting, kOver };

/// Writes lines until the stream is full or over, or none is left.
Progress Pump(ExportJob& job) {
  while (job.stream->writable()) {
    auto line = job.cursor.Next();
    if (!line.ok() || job.cursor.done()) {
      job.stream->Finish(line.status());
      return Progress::kOver;
    }
    if (*line && !job.stream->Write(*std::move(*line))) return Progress::kOver;
  }
  return job.stream->cancelled() ? Progress::kOver : Progress::kWaiting;
}

}  // namespace

std::unique_ptr<ExportSlots::Slot> ExportSlots::TryTake() {
  std::lock_guard lock(mutex_);
  if (taken_ >= kMaxExports) return nullptr;
  ++taken_;
  return std::make_unique<Slot>(*this);
}

void ExportSlots::Free() {
  std::lock_guard lock(mutex_);
  --taken_;
  freed_.notify_all();
}

void ExportSlots::WaitUntilFree() {
  std::unique_lock lock(mutex_);
  freed_.wait(lock, [this] { return taken_ == 0; });
}

caf::behavior ExportActor(caf::event_based_actor* self, std::shared_ptr<ExportJob> job) {
  const auto pump = [actor = caf::actor_cast<caf::actor>(self)] { caf::anon_send(actor, PumpAtom::value); };
  job->stream->OnWritable(pump);
  job->stream->OnCancel(pump);
  return {[self, job = std::move(job)](PumpAtom) mutable {
    if (job && Pump(*job) == Progress::kOver) {
      job.reset();
      self->quit();
    }
  }};
}

}  // namespace conclave::feedback
