#include "engine/files/gguf_metadata.h"

namespace conclave::engine {
namespace {

template <typename T>
const T* Get(const std::map<std::string, GgufValue, std::less<>>& values, std::string_view key) {
  const auto found = values.find(key);
  return found == values.end() ? nullptr : std::get_if<T>(&found->second);
}

template <typename T>
std::optional<T> Copy(const T* value) {
  return value == nullptr ? std::nullopt : std::optional<T>(*value);
}

}  // namespace

std::optional<bool> GgufMetadata::Bool(std::string_view key) const { return Copy(Get<bool>(values_, key)); }

std::optional<int64_t> GgufMetadata::Int(std::string_view key) const {
  return Copy(Get<int64_t>(values_, key));
}

std::optional<double> GgufMetadata::Double(std::string_view key) const {
  if (const auto integer = Int(key)) return static_cast<double>(*integer);
  return Copy(Get<double>(values_, key));
}

const std::string* GgufMetadata::String(std::string_view key) const { return Get<std::string>(values_, key); }

const std::vector<int64_t>* GgufMetadata::Ints(std::string_view key) const {
  return Get<std::vector<int64_t>>(values_, key);
}

const std::vector<double>* GgufMetadata::Doubles(std::string_view key) const {
  return Get<std::vector<double>>(values_, key);
}

const std::vector<std::string>* GgufMetadata::Strings(std::string_view key) const {
  return Get<std::vector<std::string>>(values_, key);
}

}  // namespace conclave::engine
