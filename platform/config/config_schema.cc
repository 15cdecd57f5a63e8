#include "platform/config/config_schema.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "platform/config/limits.h"
#include "platform/config/nearest.h"

namespace conclave::platform {
namespace {

constexpr int64_t kKibi = 1024;
constexpr std::array<std::pair<std::string_view, int64_t>, 3> kByteUnits{
    {{"KiB", kKibi}, {"MiB", kKibi * kKibi}, {"GiB", kKibi * kKibi * kKibi}}};
constexpr int64_t kMaxBytes = int64_t{1} << 50;

template <typename Target>
using Place = std::function<Target&(Config*)>;

ConfigField TextField(std::string key, Place<std::string> place) {
  return {std::move(key), [place = std::move(place)](Config* config, const std::string& text) {
            if (text.size() > kMaxPathBytes || text.find('\0') != std::string::npos) {
              return InvalidArgument("the text is too long or holds a zero byte");
            }
            place(config) = text;
            return Status::Ok();
          }};
}

ConfigField PathField(std::string key, Place<std::filesystem::path> place) {
  return {std::move(key), [place = std::move(place)](Config* config, const std::string& text) {
            if (text.empty() || text.size() > kMaxPathBytes || text.find('\0') != std::string::npos) {
              return InvalidArgument("a path of 1 to " + std::to_string(kMaxPathBytes) + " bytes is needed");
            }
            place(config) = text;
            return Status::Ok();
          }};
}

ConfigField IntegerField(std::string key, int64_t low, int64_t high, Place<int64_t> place) {
  return {std::move(key), [low, high, place = std::move(place)](Config* config, const std::string& text) {
            const Result<int64_t> number = ParseInteger(text, low, high);
            if (number.ok()) place(config) = *number;
            return number.status();
          }};
}

ConfigField BoolField(std::string key, Place<bool> place) {
  return {std::move(key), [place = std::move(place)](Config* config, const std::string& text) {
            if (text != "true" && text != "false")
              return InvalidArgument("\"" + text + "\" is not true or false");
            place(config) = text == "true";
            return Status::Ok();
          }};
}

template <typename Enum>
ConfigField ChoiceField(std::string key, std::vector<std::pair<std::string, Enum>> choices,
                        Place<Enum> place) {
  return {std::move(key),
          [choices = std::move(choices), place = std::move(place)](Config* config, const std::string& text) {
            std::vector<std::string> names;
            for (const auto& [name, value] : choices) {
              if (name == text) {
                place(config) = value;
                return Status::Ok();
              }
              names.push_back(name);
            }
            return InvalidArgument("\"" + text + "\" is not a choice; did you mean \"" +
                                   NearestTo(text, names) + "\"?");
          }};
}

std::vector<ConfigField> LimitFields() {
  constexpr int64_t kMany = 1'000'000'000;
  return {
      IntegerField("limits.queued_requests", 1, 1'000'000,
                   [](Config* c) -> auto& { return c->limits.queued_requests; }),
      IntegerField("limits.queued_tokens", 1, kMany,
                   [](Config* c) -> auto& { return c->limits.queued_tokens; }),
      IntegerField("limits.running_sequences", 1, 4096,
                   [](Config* c) -> auto& { return c->limits.running_sequences; }),
      IntegerField("limits.step_tokens", 1, 65'536, [](Config* c) -> auto& { return c->limits.step_tokens; }),
      IntegerField("limits.kv_bytes", 0, kMaxBytes, [](Config* c) -> auto& { return c->limits.kv_bytes; }),
      ChoiceField<KvType>(
          "limits.kv_type",
          {{KvTypeName(KvType::kBfloat16), KvType::kBfloat16}, {KvTypeName(KvType::kInt8), KvType::kInt8}},
          [](Config* c) -> auto& { return c->limits.kv_type; }),
      IntegerField("limits.prefix_cache_bytes", -1, kMaxBytes,
                   [](Config* c) -> auto& { return c->limits.prefix_cache_bytes; }),
      IntegerField("limits.prefix_disk_bytes", 0, kMaxBytes,
                   [](Config* c) -> auto& { return c->limits.prefix_disk_bytes; }),
      IntegerField("limits.draft_tokens", 0, 64, [](Config* c) -> auto& { return c->limits.draft_tokens; }),
      IntegerField("limits.slowdown_percent", 0, 100'000,
                   [](Config* c) -> auto& { return c->limits.slowdown_percent; }),
      IntegerField("limits.context_tokens", 0, kMany,
                   [](Config* c) -> auto& { return c->limits.context_tokens; }),
      IntegerField("limits.message_bytes", 64 * kKibi, std::numeric_limits<int32_t>::max(),
                   [](Config* c) -> auto& { return c->limits.message_bytes; }),
      IntegerField("limits.session_ttl_s", 1, 366 * 24 * 3600,
                   [](Config* c) -> auto& { return c->limits.session_ttl_s; }),
  };
}

std::vector<ConfigField> MakeFields() {
  std::vector<ConfigField> fields{
      TextField("model", [](Config* c) -> auto& { return c->model; }),
      PathField("home", [](Config* c) -> auto& { return c->home; }),
      PathField("data_dir", [](Config* c) -> auto& { return c->data_dir; }),
      IntegerField("threads", 0, 1024, [](Config* c) -> auto& { return c->threads; }),
      BoolField("pin_threads", [](Config* c) -> auto& { return c->pin_threads; }),
      ChoiceField<ExpertTransport>("expert_transport",
                                   {{"auto", ExpertTransport::kAuto},
                                    {"stream", ExpertTransport::kStream},
                                    {"memory", ExpertTransport::kMemory}},
                                   [](Config* c) -> auto& { return c->expert_transport; }),
      ChoiceField<StateBackend>("state.backend",
                                {{"rocksdb", StateBackend::kRocksDb}, {"redis", StateBackend::kRedis}},
                                [](Config* c) -> auto& { return c->state.backend; }),
      TextField("state.redis", [](Config* c) -> auto& { return c->state.redis; }),
      IntegerField("state.timeout_ms", 1, 60'000, [](Config* c) -> auto& { return c->state.timeout_ms; }),
      TextField("tls.certificate", [](Config* c) -> auto& { return c->tls.certificate; }),
      TextField("tls.key", [](Config* c) -> auto& { return c->tls.key; }),
      TextField("tls.client_ca", [](Config* c) -> auto& { return c->tls.client_ca; }),
      BoolField("insecure", [](Config* c) -> auto& { return c->insecure; }),
      ChoiceField<LogLevel>("log.level",
                            {{"trace", LogLevel::kTrace},
                             {"debug", LogLevel::kDebug},
                             {"info", LogLevel::kInfo},
                             {"warning", LogLevel::kWarning},
                             {"error", LogLevel::kError},
                             {"off", LogLevel::kOff}},
                            [](Config* c) -> auto& { return c->log.level; }),
      ChoiceField<LogFormat>("log.format", {{"text", LogFormat::kText}, {"json", LogFormat::kJson}},
                             [](Config* c) -> auto& { return c->log.format; }),
      IntegerField("drain_timeout_ms", 0, 24 * 3600 * 1000,
                   [](Config* c) -> auto& { return c->drain_timeout_ms; }),
  };
  for (ConfigField& field : LimitFields()) fields.push_back(std::move(field));
  return fields;
}

}  // namespace

const std::vector<ConfigField>& ConfigFields() {
  static const std::vector<ConfigField> fields = MakeFields();
  return fields;
}

const ConfigField* FindConfigField(std::string_view key) {
  const auto& fields = ConfigFields();
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const auto& field) { return field.key == key; });
  return found == fields.end() ? nullptr : &*found;
}

std::string VariableOf(std::string_view key) {
  std::string name = "CONCLAVE_";
  for (const char c : key)
    name += c == '.' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

std::vector<std::string> ConfigKeysUnder(std::string_view parent) {
  std::vector<std::string> names;
  const std::string prefix = parent.empty() ? "" : std::string(parent) + ".";
  for (const ConfigField& field : ConfigFields()) {
    if (!field.key.starts_with(prefix)) continue;
    const std::string rest = field.key.substr(prefix.size());
    const std::string name = rest.substr(0, rest.find('.'));
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  if (parent.empty()) names.push_back("processes");
  return names;
}

Result<int64_t> ParseInteger(const std::string& text, int64_t low, int64_t high) {
  std::string_view digits = text;
  int64_t unit = 1;
  for (const auto& [suffix, factor] : kByteUnits) {
    if (!digits.ends_with(suffix)) continue;
    digits.remove_suffix(suffix.size());
    unit = factor;
    break;
  }
  while (unit != 1 && digits.ends_with(' ')) digits.remove_suffix(1);
  int64_t number = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool is_number = error == std::errc() && stop == digits.data() + digits.size() && !digits.empty();
  if (error != std::errc::result_out_of_range && !is_number) {
    return InvalidArgument("\"" + text + "\" is not a whole number");
  }
  if (!is_number || __builtin_mul_overflow(number, unit, &number) || number < low || number > high) {
    return InvalidArgument(text + " is outside " + std::to_string(low) + " to " + std::to_string(high));
  }
  return number;
}

}  // namespace conclave::platform
