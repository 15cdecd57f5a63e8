#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>
#include <grpcpp/impl/codegen/service_type.h>

#include "base/result.h"
#include "platform/config/config.h"
#include "platform/metrics/metrics.h"
#include "platform/rpc/channels.h"
#include "platform/rpc/server.h"
#include "platform/start_phases.h"
#include "platform/state/state_store.h"

namespace conclave::platform {

/// The model that an installation serves: `config.model` resolved, once, before any module is made.
struct ModelSource {
  /// As requests and answers name it, for example "smollm2-135m-instruct".
  std::string name;
  /// A .gguf file, or a folder with config.json and .safetensors.
  std::string path;
  /// SHA-256 of the weights, lowercase hex (proto: ModelIdentity.model_hash).
  std::string hash;
};

/// What a process lends to its services; all of it outlives every module.
struct ModuleContext {
  const Config& config;
  const ProcessConfig& process;
  caf::actor_system& actors;
  /// In-process channels work from ServiceModule::Start on, not in Make...Module.
  ChannelRegistry& channels;
  Metrics& metrics;
  /// The router's; null for the others, which are made while it opens.
  StateStore* state;
  /// The module's own folders go below this: data_dir / "feedback".
  std::filesystem::path data_dir;
  ModelSource model;
  /// Told how long the parts of Make took; may be null.
  StartPhases* phases = nullptr;
};

/// One service as a process sees it. `services/<name>/<name>_module.h` exports
///     Result<std::unique_ptr<platform::ServiceModule>> Make<Name>Module(const platform::ModuleContext&);
/// which loads what the service needs and says precisely what is wrong when it cannot.
///
/// Order of life: Make, the server starts listening, Start, (serving), StartDrain, Drained polled until true
/// or the drain timeout, the server shuts down (every reactor is done), destruction.
class ServiceModule {
 public:
  virtual ~ServiceModule() = default;

  /// One of kServiceNames.
  virtual std::string name() const = 0;

  /// The full name in the proto, for health: "conclave.v1.TokenizerService".
  virtual std::string proto_name() const = 0;

  /// Owned by the module.
  virtual grpc::Service* service() = 0;

  /// Public services of other processes that this one answers for, so that a client needs one address. Owned
  /// by the module; registered beside service() on the same server. None of them may live in this process.
  virtual std::vector<NamedService> forwarded() { return {}; }

  /// Called once when all of the process's modules are registered and in-process channels work. Services of
  /// other processes may not run yet: connect lazily. The service reports SERVING after this returned Ok.
  virtual Status Start() { return Status::Ok(); }

  /// New work is refused with UNAVAILABLE and a retry hint; running work goes on. Calls that come from this
  /// same process belong to running work and are still served. Returns at once.
  virtual void StartDrain() {}

  /// No work is running. Long-lived streams may still be open.
  virtual bool Drained() { return true; }
};

/// Settings for the process's actor system: few workers, because the engine has threads of its own and actors
/// only pass messages. `workers` 0: two.
struct ActorSystemOptions {
  size_t workers = 0;
};

/// Owns a CAF actor system together with its configuration, which must outlive it. Destruction waits for all
/// actors to end; CAF's idle worker threads stay until the process does.
class ActorSystem {
 public:
  explicit ActorSystem(const ActorSystemOptions& options = {});
  ~ActorSystem();
  caf::actor_system& get();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace conclave::platform
