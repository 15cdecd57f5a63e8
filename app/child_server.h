#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <sys/types.h>

#include "base/result.h"

namespace conclave::app {

/// Another process of this program that serves one process of a configuration; ended with SIGTERM when it is
/// destroyed, and with SIGKILL when that takes too long. Its log goes nowhere.
class ChildServer {
 public:
  /// Starts `conclave serve --config CONFIG --only NAME`. Returns at once. Errors: INTERNAL.
  static Result<std::unique_ptr<ChildServer>> Start(const std::filesystem::path& config,
                                                    const std::string& name);
  ~ChildServer();
  ChildServer(const ChildServer&) = delete;

  /// Whether it still runs; when not, it could not start.
  bool running();

 private:
  explicit ChildServer(pid_t pid) : pid_(pid) {}

  pid_t pid_;
  bool ended_ = false;
};

}  // namespace conclave::app
