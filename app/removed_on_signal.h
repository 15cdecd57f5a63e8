#pragma once

#include <array>
#include <csignal>
#include <string>

namespace conclave::app {

/// While it lives, SIGINT, SIGTERM and SIGHUP remove a file before they end the process as they always do: a
/// command that is interrupted leaves no half-written file. One at a time, made and destroyed by the main
/// thread. A signal that was ignored (nohup) stays so. SIGKILL cannot be met.
class RemovedOnSignal {
 public:
  /// `path` need not exist yet.
  explicit RemovedOnSignal(const std::string& path);
  ~RemovedOnSignal();
  RemovedOnSignal(const RemovedOnSignal&) = delete;

 private:
  static constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

  std::array<struct sigaction, kSignals.size()> previous_{};
};

}  // namespace conclave::app
