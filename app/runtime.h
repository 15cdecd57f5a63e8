#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/config/config.h"
#include "platform/metrics/metrics.h"
#include "platform/module.h"
#include "platform/rpc/channels.h"
#include "platform/rpc/server.h"
#include "platform/start_phases.h"
#include "platform/state/state_store.h"

namespace conclave::app {

/// One process of an installation: its services, the server they listen on, and what they share.
class Runtime {
 public:
  /// Makes and starts the services of `process`. `config` is copied. `listen` false: no socket at all, only
  /// InProcessChannel. `phases`: told what took how long; null: nobody is. Errors: whatever stands in the
  /// way, in one sentence.
  static Result<std::unique_ptr<Runtime>> Start(const platform::Config& config, const std::string& process,
                                                bool listen, platform::StartPhases* phases = nullptr);
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
  using MadeModule = Result<std::unique_ptr<platform::ServiceModule>>;

  Runtime(const platform::Config& config, const platform::ProcessConfig& process,
          platform::StartPhases* phases);
  Status OpenShared();
  Status OpenState();
  Status MakeModules();
  /// Null where this process does not run the service.
  MadeModule MakeModule(std::string_view service);
  Status AddModule(MadeModule made);
  Status Listen(bool listen);
  Status StartModules();
  Status StartHttp();
  platform::ModuleContext Context();

  struct Shared;
  platform::Config config_;
  platform::ProcessConfig process_;
  platform::StartPhases* phases_;
  platform::ModelSource model_;
  std::atomic<bool> draining_ = false;
  std::unique_ptr<Shared> shared_;
  std::vector<std::unique_ptr<platform::ServiceModule>> modules_;
  std::unique_ptr<platform::Server> server_;
};

}  // namespace conclave::app
