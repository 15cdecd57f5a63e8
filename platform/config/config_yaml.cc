#include "platform/config/config_yaml.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "platform/config/config_schema.h"
#include "platform/config/limits.h"
#include "platform/config/nearest.h"

namespace conclave::platform {
namespace {

/// Walks the file's tree; every error carries the file and the line.
class ConfigReader {
 public:
  ConfigReader(std::string file, Config* config) : file_(std::move(file)), config_(config) {}

  Status ReadSection(const YAML::Node& node, const std::string& parent) {
    return ForEachKey(node, parent,
                      [&](const std::string& name, const YAML::Node& key, const YAML::Node& value) {
                        if (parent.empty() && name == "processes") return ReadProcesses(value);
                        const std::string path = parent.empty() ? name : parent + "." + name;
                        if (const ConfigField* field = FindConfigField(path)) return ReadField(*field, value);
                        const std::vector<std::string> below = ConfigKeysUnder(path);
                        if (below.empty()) return UnknownKey(key, parent, ConfigKeysUnder(parent));
                        return ReadSection(value, path);
                      });
  }

 private:
  using KeyVisitor =
      std::function<Status(const std::string& name, const YAML::Node& key, const YAML::Node& value)>;

  Status At(const YAML::Node& node, const std::string& message) const {
    const int line = node.Mark().is_null() ? 1 : node.Mark().line + 1;
    return InvalidArgument(file_ + ":" + std::to_string(line) + ": " + message);
  }

  Status UnknownKey(const YAML::Node& key, const std::string& parent,
                    const std::vector<std::string>& valid) const {
    const std::string name = key.Scalar().substr(0, 128);
    return At(key, "unknown key \"" + name + "\"" + (parent.empty() ? "" : " under \"" + parent + "\"") +
                       "; did you mean \"" + NearestTo(name, valid) + "\"?");
  }

  Status ForEachKey(const YAML::Node& node, const std::string& what, const KeyVisitor& visit) const {
    if (node.IsNull()) return Status::Ok();
    if (!node.IsMap())
      return At(node, (what.empty() ? "the file" : "\"" + what + "\"") + " must be a mapping of keys");
    std::set<std::string> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return At(entry.first, "a key must be a plain word");
      const std::string& name = entry.first.Scalar();
      if (!seen.insert(name).second)
        return At(entry.first, "the key \"" + name.substr(0, 128) + "\" occurs twice");
      CONCLAVE_RETURN_IF_ERROR(visit(name, entry.first, entry.second));
    }
    return Status::Ok();
  }

  Status ReadField(const ConfigField& field, const YAML::Node& value) const {
    if (!value.IsScalar()) return At(value, field.key + ": a single value is needed");
    const Status status = field.set(config_, value.Scalar());
    return status.ok() ? status : At(value, field.key + ": " + status.message());
  }

  Status ReadText(const std::string& key, const YAML::Node& value, std::string* text) const {
    if (!value.IsScalar() || value.Scalar().size() > kMaxPathBytes)
      return At(value, key + ": a text is needed");
    *text = value.Scalar();
    return Status::Ok();
  }

  Status ReadProcesses(const YAML::Node& list) {
    if (!list.IsSequence() || list.size() == 0)
      return At(list, "\"processes\" must be a list with at least one process");
    if (list.size() > kMaxProcesses)
      return At(list, "more than " + std::to_string(kMaxProcesses) + " processes");
    for (const YAML::Node& node : list) {
      ProcessConfig process;
      CONCLAVE_RETURN_IF_ERROR(ReadProcess(node, &process));
      if (process.name.empty()) return At(node, "the process has no name");
      config_->processes.push_back(std::move(process));
    }
    return Status::Ok();
  }

  Status ReadProcess(const YAML::Node& node, ProcessConfig* process) {
    if (!node.IsMap()) return At(node, "a process must be a mapping of keys");
    static const std::vector<std::string> valid{"name", "services", "listen", "advertise", "http", "experts"};
    return ForEachKey(node, "processes",
                      [&](const std::string& name, const YAML::Node& key, const YAML::Node& value) {
                        if (name == "name") return ReadText(name, value, &process->name);
                        if (name == "listen") return ReadText(name, value, &process->listen);
                        if (name == "advertise") return ReadText(name, value, &process->advertise);
                        if (name == "http") return ReadText(name, value, &process->http);
                        if (name == "services") return ReadServices(value, process);
                        if (name == "experts") return ReadExperts(value, process);
                        return UnknownKey(key, "processes", valid);
                      });
  }

  Status ReadServices(const YAML::Node& list, ProcessConfig* process) const {
    if (!list.IsSequence()) return At(list, "\"services\" must be a list");
    static const std::vector<std::string> valid(std::begin(kServiceNames), std::end(kServiceNames));
    for (const YAML::Node& node : list) {
      if (!node.IsScalar()) return At(node, "a service must be a plain word");
      const std::string& name = node.Scalar();
      if (std::find(valid.begin(), valid.end(), name) == valid.end()) {
        return At(node, "unknown service \"" + name.substr(0, 128) + "\"; did you mean \"" +
                            NearestTo(name, valid) + "\"?");
      }
      if (std::find(process->services.begin(), process->services.end(), name) != process->services.end()) {
        return At(node, "the service \"" + name + "\" occurs twice in one process");
      }
      process->services.push_back(name);
    }
    return Status::Ok();
  }

  Status ReadExperts(const YAML::Node& node, ProcessConfig* process) const {
    return ForEachKey(node, "experts",
                      [&](const std::string& name, const YAML::Node& key, const YAML::Node& value) {
                        if (name != "slices") return UnknownKey(key, "experts", {"slices"});
                        if (!value.IsSequence() || value.size() == 0)
                          return At(value, "\"slices\" must be a list of numbers");
                        for (const YAML::Node& item : value)
                          CONCLAVE_RETURN_IF_ERROR(ReadSlices(item, process));
                        return Status::Ok();
                      });
  }

  /// A number, or a range of them: 0-7.
  Status ReadSlices(const YAML::Node& item, ProcessConfig* process) const {
    const std::string text = item.IsScalar() ? item.Scalar() : "";
    const size_t dash = text.find('-');
    const Result<int64_t> first = ParseInteger(text.substr(0, dash), 0, kMaxExpertSlices - 1);
    if (!first.ok()) return At(item, "experts.slices: " + first.status().message());
    Result<int64_t> last = first;
    if (dash != std::string::npos) last = ParseInteger(text.substr(dash + 1), *first, kMaxExpertSlices - 1);
    if (!last.ok()) return At(item, "experts.slices: " + last.status().message());
    for (int64_t slice = *first; slice <= *last; ++slice) process->expert_slices.push_back(slice);
    return Status::Ok();
  }

  const std::string file_;
  Config* config_;
};

Result<std::string> ReadText(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream || std::filesystem::is_directory(file)) {
    return NotFound("cannot read the configuration " + file.string() + ": " +
                    (errno != 0 ? std::strerror(errno) : "it is a folder"));
  }
  std::string text(kMaxConfigBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(stream.gcount()));
  if (text.size() > kMaxConfigBytes)
    return InvalidArgument(file.string() + ": the configuration is larger than 1 MiB");
  return text;
}

}  // namespace

Status ReadConfigFile(const std::filesystem::path& file, Config* config) {
  errno = 0;
  CONCLAVE_ASSIGN_OR_RETURN(const std::string text, ReadText(file));
  try {
    return ConfigReader(file.string(), config).ReadSection(YAML::Load(text), "");
  } catch (const YAML::Exception& exception) {
    return InvalidArgument(file.string() + ":" + std::to_string(exception.mark.line + 1) +
                           ": not valid YAML: " + exception.msg);
  } catch (const std::exception& exception) {
    return InvalidArgument(file.string() + ": not valid YAML: " + exception.what());
  }
}

}  // namespace conclave::platform
