#pragma once

#include <filesystem>
#include <memory>

#include <grpcpp/channel.h>
#include <nlohmann/json.hpp>

#include "app/child_server.h"
#include "app/cli.h"
#include "app/process_memory.h"

namespace conclave::app {

/// A process of its own with all services, as `conclave serve` starts it, which answers health checks.
class ReadyServer {
 public:
  /// Keeps what it stores below `data`. Waits until it serves. Errors: as ChildServer; UNAVAILABLE.
  static Result<std::unique_ptr<ReadyServer>> Start(const CommonFlags& flags,
                                                    const std::filesystem::path& data);

  /// From before the program was started to its answer SERVING.
  double start_ms() const { return start_ms_; }
  /// The line with which it said that it is ready: start_ms, phases.
  const nlohmann::json& ready() const { return ready_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  Result<ProcessMemory> memory() const { return MemoryOf(child_->pid()); }

 private:
  ReadyServer() = default;

  std::unique_ptr<ChildServer> child_;
  nlohmann::json ready_;
  std::shared_ptr<grpc::Channel> channel_;
  double start_ms_ = 0.0;
};

}  // namespace conclave::app
