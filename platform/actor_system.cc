#include <mutex>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/atom.hpp>

#include "platform/module.h"

namespace conclave::platform {
namespace {

constexpr size_t kDefaultWorkers = 2;

/// "sharing": idle workers wait on a condition variable. CAF's default polls, which would take time from the
/// engine's threads and delay a message to a sleeping worker by up to 10 ms.
caf::actor_system_config& Configure(caf::actor_system_config& config, const ActorSystemOptions& options) {
  config.set("scheduler.policy", caf::atom("sharing"));
  config.set("scheduler.max-threads", options.workers == 0 ? kDefaultWorkers : options.workers);
  return config;
}

}  // namespace

struct ActorSystem::State {
  explicit State(const ActorSystemOptions& options) : system(Configure(config, options)) {}

  caf::actor_system_config config;
  caf::actor_system system;
};

ActorSystem::ActorSystem(const ActorSystemOptions& options) : state_(std::make_unique<State>(options)) {}
ActorSystem::~ActorSystem() {
  state_->system.await_all_actors_done();
  // The destructor of CAF's system was seen to wait for ever for the thread of a detached actor that had
  // ended (docs/decisions/0007). Its idle workers stay until the process ends; the list keeps them reachable.
  static std::mutex mutex;
  static auto* const kept = new std::vector<std::unique_ptr<State>>;
  std::lock_guard lock(mutex);
  kept->push_back(std::move(state_));
}

caf::actor_system& ActorSystem::get() { return state_->system; }

}  // namespace conclave::platform
