#include "platform/start_phases.h"

#include <utility>

namespace conclave::platform {

std::vector<StartPhase> StartPhases::Ended() const {
  std::lock_guard lock(mutex_);
  return ended_;
}

double StartPhases::ElapsedMs() const {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin_).count();
}

void StartPhases::Note(StartPhase phase) {
  std::lock_guard lock(mutex_);
  if (observer_) observer_(phase);
  ended_.push_back(std::move(phase));
}

PhaseTimer::PhaseTimer(StartPhases* phases, std::string name) : phases_(phases) {
  if (phases_ != nullptr) phase_ = {.name = std::move(name), .from_ms = phases_->ElapsedMs()};
}

PhaseTimer::~PhaseTimer() {
  if (phases_ == nullptr) return;
  phase_.ms = phases_->ElapsedMs() - phase_.from_ms;
  phases_->Note(std::move(phase_));
}

}  // namespace conclave::platform
