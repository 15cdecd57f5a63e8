#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "platform/config/config.h"

namespace conclave::platform {

/// One scalar key of the configuration: its dotted name, and how its text is read, checked and stored.
struct ConfigField {
  std::string key;
  std::function<Status(Config*, const std::string& text)> set;
};

/// All scalar keys outside of `processes`.
const std::vector<ConfigField>& ConfigFields();

/// The field with this dotted key, or null.
const ConfigField* FindConfigField(std::string_view key);

/// The variable that overrides a key: "limits.kv_bytes" is "CONCLAVE_LIMITS_KV_BYTES".
std::string VariableOf(std::string_view key);

/// The names that may stand directly under `parent` ("" is the top): for "did you mean".
std::vector<std::string> ConfigKeysUnder(std::string_view parent);

/// Reads a whole number with an optional KiB, MiB or GiB, within [low, high]. INVALID_ARGUMENT otherwise.
Result<int64_t> ParseInteger(const std::string& text, int64_t low, int64_t high);

}  // namespace conclave::platform
