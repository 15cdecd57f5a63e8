#include "platform/config/config.h"

#include <algorithm>
#include <set>

#include <unistd.h>

#include "platform/config/address.h"
#include "platform/config/config_check.h"
#include "platform/config/config_schema.h"
#include "platform/config/config_yaml.h"
#include "platform/config/nearest.h"

extern char** environ;

namespace conclave::platform {
namespace {

/// A misspelt variable is refused only when it is this close to a known one.
constexpr size_t kTypoDistance = 2;

Status ApplyVariables(const std::map<std::string, std::string>& environment, Config* config) {
  std::vector<std::string> names;
  for (const ConfigField& field : ConfigFields()) {
    names.push_back(VariableOf(field.key));
    const auto variable = environment.find(names.back());
    if (variable == environment.end()) continue;
    if (field.key == std::string_view("home") && variable->second.empty())
      continue;  // As if it were not set.
    const Status status = field.set(config, variable->second);
    if (!status.ok()) return status.Annotate(names.back());
  }
  for (const auto& [name, value] : environment) {
    if (!name.starts_with("CONCLAVE_") || std::find(names.begin(), names.end(), name) != names.end())
      continue;
    const std::string nearest = NearestTo(name, names);
    if (EditDistance(name, nearest) <= kTypoDistance) {
      return InvalidArgument("unknown variable " + name + "; did you mean " + nearest + "?");
    }
  }
  return Status::Ok();
}

Status ApplyOverrides(const std::vector<ConfigOverride>& overrides, Config* config) {
  for (const auto& [key, text] : overrides) {
    const ConfigField* field = FindConfigField(key);
    if (field == nullptr) {
      std::vector<std::string> keys;
      for (const ConfigField& known : ConfigFields()) keys.push_back(known.key);
      return InvalidArgument("unknown setting \"" + key + "\"; did you mean \"" + NearestTo(key, keys) +
                             "\"?");
    }
    const Status status = field->set(config, text);
    if (!status.ok()) return status.Annotate(key);
  }
  return Status::Ok();
}

bool Has(const ProcessConfig& process, std::string_view service) {
  return std::find(process.services.begin(), process.services.end(), service) != process.services.end();
}

}  // namespace

Result<Config> LoadConfig(const std::filesystem::path& file,
                          const std::map<std::string, std::string>& environment,
                          const std::vector<ConfigOverride>& overrides) {
  Config config;
  if (!file.empty()) CONCLAVE_RETURN_IF_ERROR(ReadConfigFile(file, &config));
  CONCLAVE_RETURN_IF_ERROR(ApplyVariables(environment, &config));
  CONCLAVE_RETURN_IF_ERROR(ApplyOverrides(overrides, &config));
  if (config.processes.empty()) {
    config.processes.push_back({.name = "conclave",
                                .services = {std::begin(kServiceNames), std::end(kServiceNames)},
                                .listen = "127.0.0.1:7400",
                                .advertise = {},
                                .http = "127.0.0.1:7480",
                                .expert_slices = {}});
  }
  CONCLAVE_RETURN_IF_ERROR(ExpandConfig(environment, &config));
  CONCLAVE_RETURN_IF_ERROR(CheckConfig(config));
  return config;
}

std::map<std::string, std::string> EnvironmentVariables() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos) variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

Result<const ProcessConfig*> Config::ProcessNamed(std::string_view name) const {
  if (name.empty() && processes.size() == 1) return &processes.front();
  std::vector<std::string> names;
  for (const ProcessConfig& process : processes) {
    if (process.name == name) return &process;
    names.push_back(process.name);
  }
  std::string all;
  for (const std::string& known : names) all += (all.empty() ? "" : ", ") + known;
  if (name.empty()) return NotFound("the configuration has several processes; choose one of: " + all);
  return NotFound("the configuration has no process \"" + std::string(name) + "\"; did you mean \"" +
                  NearestTo(name, names) + "\"? It has: " + all);
}

std::vector<std::string> Config::AddressesOf(std::string_view service,
                                             const ProcessConfig& from_process) const {
  if (Has(from_process, service)) return {"inproc:" + from_process.name};
  std::vector<std::string> addresses;
  for (const ProcessConfig& process : processes) {
    if (Has(process, service))
      addresses.push_back(process.advertise.empty() ? process.listen : process.advertise);
  }
  return addresses;
}

std::map<std::string, std::vector<std::string>> Config::AllAddresses(
    const ProcessConfig& from_process) const {
  std::map<std::string, std::vector<std::string>> all;
  for (const std::string_view service : kServiceNames) {
    all[std::string(service)] = AddressesOf(service, from_process);
  }
  return all;
}

}  // namespace conclave::platform
