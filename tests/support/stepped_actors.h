#pragma once

#include <chrono>

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>

namespace conclave::testing {

/// An actor system on CAF's deterministic scheduler: no message is handled, and no time passes, until the
/// test says so. Tests call it from one thread.
class SteppedActors {
 public:
  caf::actor_system& system() { return system_; }

  /// Handles all messages there are, and those that they cause.
  void Run() { coordinator().run(); }

  /// Handles one message; false when there is none.
  bool RunOne() { return coordinator().try_run_once(); }

  /// Whether a message waits.
  bool HasWork() { return coordinator().has_job(); }

  /// Lets time pass; delayed messages that are due then wait to be handled.
  void Advance(std::chrono::milliseconds time) { coordinator().advance_time(time); }
  /// Whether a delayed message is under way.
  bool HasTimer() { return coordinator().has_pending_timeout(); }

 private:
  struct Config : caf::actor_system_config {
    Config() {
      set("scheduler.policy", caf::atom("testing"));
      set("logger.verbosity", caf::atom("quiet"));
    }
  };

  caf::scheduler::test_coordinator& coordinator() {
    return dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler());
  }

  Config config_;
  caf::actor_system system_{config_};
};

}  // namespace conclave::testing
