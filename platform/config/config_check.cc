#include "platform/config/config_check.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "platform/config/address.h"
#include "platform/config/limits.h"
#include "platform/identity.h"

namespace conclave::platform {
namespace {

using Variables = std::map<std::string, std::string>;

/// Replaces each ${NAME} in `text`; there is no nesting.
Status Expand(const std::string& key, const Variables& variables, std::string* text) {
  std::string source = text->starts_with("~/") ? "${HOME}" + text->substr(1) : *text;
  std::string result;
  size_t at = 0;
  for (size_t start; (start = source.find("${", at)) != std::string::npos;) {
    result.append(source, at, start - at);
    const size_t end = source.find('}', start);
    if (end == std::string::npos) return InvalidArgument(key + ": \"${\" without \"}\"");
    const std::string name = source.substr(start + 2, end - start - 2);
    const auto variable = variables.find(name);
    if (variable == variables.end()) {
      return InvalidArgument(key + ": ${" + name.substr(0, 64) +
                             "} is not known here; HOME, CONCLAVE_HOME and DATA_DIR are, where they are set");
    }
    result += variable->second;
    at = end + 1;
  }
  *text = result.append(source, at);
  return Status::Ok();
}

Status ExpandPath(const std::string& key, const Variables& variables, std::filesystem::path* path) {
  std::string text = path->string();
  CONCLAVE_RETURN_IF_ERROR(Expand(key, variables, &text));
  *path = text;
  return Status::Ok();
}

Status CheckProcess(const ProcessConfig& process) {
  const std::string where = "process \"" + process.name + "\": ";
  if (!IsIdentifier(process.name, kMaxProcessNameBytes)) {
    return InvalidArgument(where + "a name is 1 to 64 letters, digits, '-', '_' or '.'");
  }
  if (process.services.empty()) return InvalidArgument(where + "it has no services");
  const std::pair<const char*, const std::string*> addresses[] = {
      {"listen", &process.listen}, {"advertise", &process.advertise}, {"http", &process.http}};
  for (const auto& [key, text] : addresses) {
    if (text->empty() && text != &process.listen) continue;
    const Result<Address> address = ParseAddress(*text);
    if (!address.ok()) return address.status().Annotate(where + key);
    if (address->kind == Address::Kind::kInProcess)
      return InvalidArgument(where + key + ": inproc is no place to listen");
    if (text == &process.http && address->kind != Address::Kind::kTcp) {
      return InvalidArgument(where + "http: HOST:PORT is needed");
    }
  }
  return Status::Ok();
}

Status CheckSlices(const Config& config) {
  for (const ProcessConfig& process : config.processes) {
    const bool has_experts =
        std::find(process.services.begin(), process.services.end(), "experts") != process.services.end();
    if (!has_experts && !process.expert_slices.empty()) {
      return InvalidArgument("process \"" + process.name +
                             "\" has expert slices but not the service experts");
    }
    std::set<int64_t> own;
    for (const int64_t slice : process.expert_slices) {
      if (!own.insert(slice).second) {
        return InvalidArgument("process \"" + process.name + "\": slice " + std::to_string(slice) +
                               " occurs twice");
      }
    }
  }
  return Status::Ok();
}

Status CheckNoDoubles(const Config& config) {
  std::set<std::string> names;
  std::set<std::string> addresses;
  std::map<std::string, std::string> owners;
  for (const ProcessConfig& process : config.processes) {
    if (!names.insert(process.name).second)
      return InvalidArgument("two processes are named \"" + process.name + "\"");
    for (const std::string* text : {&process.listen, &process.http}) {
      const bool any_port = text->ends_with(":0") && !text->starts_with("unix:");
      if (text->empty() || any_port) continue;
      if (!addresses.insert(*text).second) return InvalidArgument("the address " + *text + " is used twice");
    }
    for (const std::string& service : process.services) {
      const auto [owner, is_new] = owners.emplace(service, process.name);
      if (is_new || service == "experts") continue;
      return InvalidArgument("the service " + service + " is in \"" + owner->second + "\" and in \"" +
                             process.name + "\"; only experts can be in several");
    }
  }
  return Status::Ok();
}

}  // namespace

Status ExpandConfig(const Variables& environment, Config* config) {
  Variables variables;
  const auto user_home = environment.find("HOME");
  if (user_home != environment.end() && !user_home->second.empty()) variables["HOME"] = user_home->second;
  if (config->home.empty()) config->home = "~/.local/share/conclave";
  CONCLAVE_RETURN_IF_ERROR(ExpandPath("home", variables, &config->home));
  variables["CONCLAVE_HOME"] = config->home.string();
  if (config->data_dir.empty()) config->data_dir = config->home / "data";
  CONCLAVE_RETURN_IF_ERROR(ExpandPath("data_dir", variables, &config->data_dir));
  variables["DATA_DIR"] = config->data_dir.string();

  CONCLAVE_RETURN_IF_ERROR(Expand("model", variables, &config->model));
  CONCLAVE_RETURN_IF_ERROR(Expand("state.redis", variables, &config->state.redis));
  CONCLAVE_RETURN_IF_ERROR(Expand("tls.certificate", variables, &config->tls.certificate));
  CONCLAVE_RETURN_IF_ERROR(Expand("tls.key", variables, &config->tls.key));
  CONCLAVE_RETURN_IF_ERROR(Expand("tls.client_ca", variables, &config->tls.client_ca));
  for (ProcessConfig& process : config->processes) {
    CONCLAVE_RETURN_IF_ERROR(Expand("listen", variables, &process.listen));
    CONCLAVE_RETURN_IF_ERROR(Expand("advertise", variables, &process.advertise));
    CONCLAVE_RETURN_IF_ERROR(Expand("http", variables, &process.http));
  }
  return Status::Ok();
}

Status CheckConfig(const Config& config) {
  if (config.model.empty()) return InvalidArgument("model: a name, a .gguf file or a folder is needed");
  if (config.tls.certificate.empty() != config.tls.key.empty()) {
    return InvalidArgument("tls.certificate and tls.key are needed together");
  }
  if (config.state.backend == StateBackend::kRedis) {
    if (config.state.redis.empty())
      return InvalidArgument("state.backend is redis, but state.redis has no address");
    const Result<Address> address = ParseAddress(config.state.redis);
    if (!address.ok()) return address.status().Annotate("state.redis");
  }
  for (const ProcessConfig& process : config.processes) CONCLAVE_RETURN_IF_ERROR(CheckProcess(process));
  CONCLAVE_RETURN_IF_ERROR(CheckNoDoubles(config));
  return CheckSlices(config);
}

}  // namespace conclave::platform
