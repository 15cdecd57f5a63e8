#include <csignal>
#include <iostream>
#include <memory>
#include <sstream>

#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/json_line.h"
#include "app/runtime.h"
#include "engine/kernels/kernels.h"
#include "platform/code_pages.h"
#include "platform/log/log.h"
#include "platform/shutdown_latch.h"

namespace conclave::app {
namespace {

struct ServeFlags {
  CommonFlags common;
  std::string only;
  std::string listen;
  std::string http;
  std::string data_dir;
  bool insecure = false;
};

void LogPhase(const platform::StartPhase& phase) {
  platform::LogInfo("serve", "started",
                    {{"phase", phase.name}, {"from_ms", phase.from_ms}, {"ms", phase.ms}});
}

/// Configures the log too.
Result<platform::Config> ServeConfig(const ServeFlags& flags, platform::StartPhases& phases) {
  const platform::PhaseTimer timer(&phases, "reading the configuration");
  std::vector<platform::ConfigOverride> overrides = flags.common.Overrides();
  if (!flags.data_dir.empty()) overrides.emplace_back("data_dir", flags.data_dir);
  if (flags.insecure) overrides.emplace_back("insecure", "true");
  CONCLAVE_ASSIGN_OR_RETURN(
      platform::Config config,
      platform::LoadConfig(flags.common.config_file, platform::EnvironmentVariables(), overrides));
  for (platform::ProcessConfig& process : config.processes) {
    const bool chosen = config.processes.size() == 1 || process.name == flags.only;
    if (!chosen) continue;
    if (!flags.listen.empty()) process.listen = flags.listen;
    if (!flags.http.empty()) process.http = flags.http;
  }
  platform::ConfigureLog(config.log);
  return config;
}

nlohmann::json ToJson(const std::vector<platform::StartPhase>& phases) {
  nlohmann::json list = nlohmann::json::array();
  for (const platform::StartPhase& phase : phases) {
    list.push_back({{"name", phase.name}, {"from_ms", phase.from_ms}, {"ms", phase.ms}});
  }
  return list;
}

void PrintReady(const ServeFlags& flags, const Runtime& runtime, const platform::StartPhases& phases) {
  platform::LogInfo("serve", "ready", {{"ms", phases.ElapsedMs()}, {"kernels", engine::BestKernels().name}});
  if (flags.common.json) {
    PrintLine(JsonLine({{"ready", true},
                        {"addresses", runtime.addresses()},
                        {"http", runtime.http_address()},
                        {"model", runtime.model().name},
                        {"start_ms", phases.ElapsedMs()},
                        {"phases", ToJson(phases.Ended())}}));
    return;
  }
  std::ostringstream line;
  line << "ready:";
  for (const std::string& address : runtime.addresses()) line << " gRPC " << address;
  if (!runtime.http_address().empty()) line << ", metrics http://" << runtime.http_address() << "/metrics";
  PrintLine(line.str());
}

Status ServeUntilTold(const ServeFlags& flags) {
  platform::ShutdownLatch stop({SIGTERM, SIGINT});
  platform::StartPhases phases(LogPhase);
  CONCLAVE_ASSIGN_OR_RETURN(const platform::Config config, ServeConfig(flags, phases));
  CONCLAVE_ASSIGN_OR_RETURN(auto runtime, Runtime::Start(config, flags.only, true, &phases));
  platform::DropCodePages();
  PrintReady(flags, *runtime, phases);
  stop.Wait();
  platform::LogInfo("serve", "draining");
  const bool drained = runtime->DrainAndStop();
  platform::LogInfo("serve", drained ? "stopped" : "stopped; some work was cut off at the drain timeout");
  return Status::Ok();
}

}  // namespace

void AddServeCommand(CLI::App& program, CommandRunner& chosen) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command = program.add_subcommand("serve", "Run the services until SIGTERM or SIGINT");
  flags->common.AddModel(*command);
  flags->common.AddJson(*command);
  command->add_option("--only", flags->only, "Run this process of the configuration");
  command
      ->add_option("--listen", flags->listen, "gRPC address: HOST:PORT or unix:PATH (default 127.0.0.1:7400)")
      ->check(NotEmpty());
  command->add_option("--http", flags->http, "Address for metrics and health (default 127.0.0.1:7480)")
      ->check(NotEmpty());
  command->add_option("--data-dir", flags->data_dir, "Where ratings, documents and sessions are kept")
      ->check(NotEmpty());
  command->add_flag("--insecure", flags->insecure, "Allow addresses beyond this machine without TLS");
  command->footer(
      "Examples:\n  conclave serve\n  conclave serve --config examples/cluster.yaml --only router");
  command->callback([flags, &chosen] {
    chosen = [flags] {
      const Status status = ServeUntilTold(*flags);
      return status.ok() ? kExitOk : ReportFailure(status);
    };
  });
}

}  // namespace conclave::app
