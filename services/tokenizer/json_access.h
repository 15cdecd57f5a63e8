#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace conclave::tokenizer {

/// Members of a JSON value that may be of any kind: none of these throws.

inline const nlohmann::json* JsonMember(const nlohmann::json& value, const char* key) {
  if (!value.is_object()) return nullptr;
  const auto found = value.find(key);
  return found == value.end() ? nullptr : &*found;
}

/// Empty when it is absent or no string.
inline std::string JsonString(const nlohmann::json& value, const char* key) {
  const nlohmann::json* member = JsonMember(value, key);
  return member != nullptr && member->is_string() ? member->get_ref<const std::string&>() : std::string();
}

inline bool JsonBool(const nlohmann::json& value, const char* key, bool otherwise) {
  const nlohmann::json* member = JsonMember(value, key);
  return member != nullptr && member->is_boolean() ? member->get<bool>() : otherwise;
}

/// nullopt when it is absent, no integer or beyond 63 bits.
inline std::optional<int64_t> JsonInteger(const nlohmann::json& value) {
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return std::nullopt;
  return value.is_number_integer() ? std::optional(value.get<int64_t>()) : std::nullopt;
}

}  // namespace conclave::tokenizer
