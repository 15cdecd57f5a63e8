#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/types.h>

#include "base/result.h"

namespace conclave::app {

/// Another process of this program; ended with SIGTERM when it is destroyed, and with SIGKILL
/// when that takes too long. Its log goes nowhere. One thread.
class ChildServer {
 public:
  /// Starts `conclave ARGUMENTS`. Returns at once. Errors: INTERNAL.
  static Result<std::unique_ptr<ChildServer>> Start(std::vector<std::string> arguments);
  ~ChildServer();
  ChildServer(const ChildServer&) = delete;

  /// The first line that it prints, which says that it is ready. Errors: INTERNAL (it ended instead),
  /// DEADLINE_EXCEEDED.
  Result<std::string> WaitForLine(std::chrono::milliseconds timeout);
  /// That line as JSON (`--json`), with at least one of "addresses". Errors: the same; INTERNAL (another
  /// line).
  Result<nlohmann::json> WaitUntilReady(std::chrono::milliseconds timeout = kReadyTimeout);

  /// Whether it still runs; when not, it could not start.
  bool running();
  pid_t pid() const { return pid_; }

 private:
  static constexpr std::chrono::seconds kReadyTimeout{120};

  ChildServer(pid_t pid, int output) : pid_(pid), output_(output) {}

  pid_t pid_;
  int output_;  ///< the reading end of its standard output
  bool ended_ = false;
};

}  // namespace conclave::app
