#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/config/config.h"
#include "platform/metrics/metrics.h"
#include "platform/module.h"
#include "platform/rpc/channels.h"
#include "platform/rpc/server.h"
#include "platform/state/state_store.h"

namespace conclave::app {

/// One process of an installation: its services, the server they listen on, and what they share.
class Runtime {
 public:
  /// Says what is being done, and how long the last phase took, in milliseconds.
  using Progress = std::function<void(const std::string& phase, double previous_ms)>;

  /// Makes and starts the services of `process`. `config` is copied. `listen` false: no socket at all, only
  /// InProcessChannel. Errors: whatever stands in the way, in one sentence.
  static Result<std::unique_ptr<Runtime>> Start(const platform::Config& config, const std::string& process,
                                                bool listen, const Progress& progress = {});
  ~Runtime();
  Runtime(const Runtime&) = delete;

  /// The process's gRPC server without a socket.
  std::shared_ptr<grpc::Channel> InProcessChannel();

  /// Where it listens, with the ports that were chosen.
  const std::vector<std::string>& addresses() const;
  std::string http_address() const;
  const platform::ModelSource& model() const { return model_; }

  /// Refuses new work, lets running work end (at most `config.drain_timeout_ms`), and stops. Whether all work
  /// ended.
  bool DrainAndStop();

 private:
  Runtime(const platform::Config& config, const platform::ProcessConfig& process);
  Status OpenShared();
  Status MakeModules(const Progress& progress);
  Status Listen(bool listen);
  Status StartModules();
  Status StartHttp();
  platform::ModuleContext Context();

  struct Shared;
  platform::Config config_;
  platform::ProcessConfig process_;
  platform::ModelSource model_;
  std::atomic<bool> draining_ = false;
  std::unique_ptr<Shared> shared_;
  std::vector<std::unique_ptr<platform::ServiceModule>> modules_;
  std::unique_ptr<platform::Server> server_;
};

}  // namespace conclave::app
