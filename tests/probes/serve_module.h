// What the probes that serve one module share.

#pragma once

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "platform/module.h"
#include "platform/rpc/server.h"
#include "platform/state/open_state_store.h"

namespace conclave::probes {

// Prints why the program cannot go on, as one line on stderr; returns its exit status.
inline int Fail(const Status& status) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, status.ToString().c_str());
  return 1;
}

// Serves the module that `make` builds from a platform::ModuleContext, with the data in `data_dir`, on the
// Unix socket `socket`. Prints "ready" when it serves and returns 0 after SIGTERM. To be called before any
// thread starts, so that all of them leave the signal to it.
template <typename Make>
int ServeModule(Make make, const std::filesystem::path& data_dir, const std::string& socket) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const platform::Config config;
  const platform::ProcessConfig process;
  platform::ActorSystem actors;
  platform::ChannelRegistry channels({}, {}, platform::kDefaultMaxMessageBytes);
  platform::Metrics metrics;
  auto state = platform::OpenStateStore(config.state, data_dir / "state");
  if (!state.ok()) return Fail(state.status());
  auto module = make({config, process, actors.get(), channels, metrics, state->get(), data_dir, {}});
  if (!module.ok()) return Fail(module.status());
  platform::ServerOptions options;
  options.addresses = {"unix:" + socket};
  options.metrics = &metrics;
  auto server = platform::Server::Start(options, {{(*module)->proto_name(), (*module)->service()}});
  if (!server.ok()) return Fail(server.status());
  (*server)->SetServing((*module)->proto_name(), true);
  std::puts("ready");
  std::fflush(stdout);
  int received = 0;
  sigwait(&signals, &received);
  (*server)->Shutdown(std::chrono::seconds(5));
  return 0;
}

}  // namespace conclave::probes
