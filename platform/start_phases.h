#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace conclave::platform {

/// One part of a process's start. Parts may overlap.
struct StartPhase {
  std::string name;
  double from_ms = 0.0;  ///< since the process began to start
  double ms = 0.0;
};

/// What a process's start consists of, and how long each part took. Any thread may call.
class StartPhases {
 public:
  /// Told of each part when it ends, one at a time.
  using Observer = std::function<void(const StartPhase&)>;

  explicit StartPhases(Observer observer = {}) : observer_(std::move(observer)) {}

  /// In the order in which they ended.
  std::vector<StartPhase> Ended() const;
  double ElapsedMs() const;

 private:
  friend class PhaseTimer;
  void Note(StartPhase phase);

  const Observer observer_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  mutable std::mutex mutex_;
  std::vector<StartPhase> ended_;  // guarded by mutex_
};

/// A part that lasts as long as this lives.
class [[nodiscard]] PhaseTimer {
 public:
  /// `phases` null: nobody wants to know.
  PhaseTimer(StartPhases* phases, std::string name);
  ~PhaseTimer();
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

 private:
  StartPhases* phases_;
  StartPhase phase_;
};

}  // namespace conclave::platform
