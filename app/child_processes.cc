#include "app/child_processes.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include <nlohmann/json.hpp>

#include "platform/rpc/channels.h"

namespace conclave::app {
namespace {

namespace fs = std::filesystem;

nlohmann::json Configuration(const platform::Config& config, const fs::path& folder,
                             const std::vector<ChildProcesses::Process>& processes) {
  nlohmann::json file = {{"model", config.model},
                         {"home", config.home.string()},
                         {"data_dir", (folder / "processes").string()},
                         {"threads", config.threads},
                         {"log", {{"level", "off"}}},
                         {"limits",
                          {{"draft_tokens", config.limits.draft_tokens},
                           {"slowdown_percent", config.limits.slowdown_percent},
                           {"kv_bytes", config.limits.kv_bytes},
                           {"kv_type", platform::KvTypeName(config.limits.kv_type)},
                           {"prefix_disk_bytes", 0}}}};
  for (const ChildProcesses::Process& process : processes) {
    const std::string socket = "unix:" + (folder / (process.name + ".sock")).string();
    nlohmann::json entry = {{"name", process.name},
                            {"services", process.services},
                            {"listen", process.tcp ? "127.0.0.1:0" : socket}};
    if (!process.experts.empty()) entry["experts"] = {{"slices", process.experts}};
    file["processes"].push_back(std::move(entry));
  }
  return file;
}

}  // namespace

Result<std::unique_ptr<ChildProcesses>> ChildProcesses::Start(const platform::Config& config,
                                                              const fs::path& folder,
                                                              const std::vector<Process>& processes) {
  const fs::path path = folder / "processes.yaml";
  std::ofstream(path) << Configuration(config, folder, processes).dump(1);  // JSON is YAML.
  std::unique_ptr<ChildProcesses> started(
      new ChildProcesses(static_cast<size_t>(config.limits.message_bytes)));
  for (const Process& process : processes) {
    std::vector<std::string> arguments = {
        "serve",  "--json",     "--config",   path,
        "--only", process.name, "--data-dir", folder / "processes" / process.name};
    if (process.threads > 0)
      arguments.insert(arguments.end(), {"--threads", std::to_string(process.threads)});
    CONCLAVE_ASSIGN_OR_RETURN(auto server, ChildServer::Start(std::move(arguments)));
    started->children_.push_back({.name = process.name, .server = std::move(server)});
  }
  for (Child& child : started->children_) {
    CONCLAVE_ASSIGN_OR_RETURN(const nlohmann::json ready, child.server->WaitUntilReady());
    child.address = ready["addresses"].front();
  }
  return started;
}

const std::string& ChildProcesses::address(const std::string& name) const {
  return std::ranges::find(children_, name, &Child::name)->address;
}

Result<std::shared_ptr<grpc::Channel>> ChildProcesses::Open(const std::string& name) const {
  return platform::OpenChannel(address(name), {}, most_message_bytes_);
}

}  // namespace conclave::app
