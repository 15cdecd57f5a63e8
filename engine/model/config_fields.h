#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/files/json_text.h"

namespace conclave::engine {

/// Reads the fields of one JSON object. A null counts as absent; a value of another kind is an error.
class Fields {
 public:
  Fields(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {}

  const nlohmann::json* Find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  bool Has(const char* key) const { return object_.contains(key); }  ///< A null too.

  Result<int64_t> Int(const char* key, std::optional<int64_t> otherwise = std::nullopt) const {
    const nlohmann::json* value = Find(key);
    if (value == nullptr) return Default(key, otherwise);
    const bool fits = value->is_number_integer() &&
                      (!value->is_number_unsigned() ||
                       value->get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
    if (!fits) return Kind(key, "a whole number");
    return value->get<int64_t>();
  }

  Result<double> Double(const char* key, std::optional<double> otherwise = std::nullopt) const {
    const nlohmann::json* value = Find(key);
    if (value == nullptr) return Default(key, otherwise);
    if (!value->is_number()) return Kind(key, "a number");
    return value->get<double>();
  }

  Result<bool> Bool(const char* key, bool otherwise) const {
    const nlohmann::json* value = Find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) return Kind(key, "true or false");
    return value->get<bool>();
  }

  Result<std::string> String(const char* key, std::optional<std::string> otherwise = std::nullopt) const {
    const nlohmann::json* value = Find(key);
    if (value == nullptr) return Default(key, otherwise);
    if (!value->is_string()) return Kind(key, "a text");
    return value->get<std::string>();
  }

  Result<std::vector<float>> Floats(const char* key) const {
    const nlohmann::json* value = Find(key);
    if (value == nullptr || !value->is_array()) return Kind(key, "a list of numbers");
    std::vector<float> out;
    for (const nlohmann::json& item : *value) {
      if (!item.is_number()) return Kind(key, "a list of numbers");
      out.push_back(static_cast<float>(item.get<double>()));
    }
    return out;
  }

  Status Kind(const char* key, const char* kind) const {
    return InvalidArgument(where_ + ": '" + key + "' is not " + kind);
  }

 private:
  template <typename T>
  Result<T> Default(const char* key, const std::optional<T>& otherwise) const {
    if (otherwise) return *otherwise;
    return InvalidArgument(where_ + ": '" + key + "' is missing");
  }

  const nlohmann::json& object_;
  std::string where_;
};

}  // namespace conclave::engine
