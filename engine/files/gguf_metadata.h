#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace conclave::engine {

/// One value of a GGUF header. Integers of every width become int64 (an unsigned 64-bit value beyond its
/// range is refused by the reader), both float widths become double; arrays are of one kind.
using GgufValue = std::variant<bool, int64_t, double, std::string, std::vector<bool>, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>>;

/// The key-value pairs of a GGUF header. Immutable once read.
class GgufMetadata {
 public:
  void Set(std::string key, GgufValue value) { values_[std::move(key)] = std::move(value); }
  const std::map<std::string, GgufValue, std::less<>>& values() const { return values_; }

  /// The value when the key exists and holds that kind (an integer also reads as a double), else nullopt or
  /// nullptr.
  std::optional<bool> Bool(std::string_view key) const;
  std::optional<int64_t> Int(std::string_view key) const;
  std::optional<double> Double(std::string_view key) const;
  const std::string* String(std::string_view key) const;
  const std::vector<int64_t>* Ints(std::string_view key) const;
  const std::vector<double>* Doubles(std::string_view key) const;
  const std::vector<std::string>* Strings(std::string_view key) const;

 private:
  std::map<std::string, GgufValue, std::less<>> values_;
};

}  // namespace conclave::engine
