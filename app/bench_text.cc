#include "app/bench_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace conclave::app {
namespace {

using nlohmann::json;

std::string Words(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  return key;
}

std::string Scalar(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return ShortNumber(value.get<double>());
  return value.dump();
}

/// "name value, name value" of the scalars; what is nested deeper follows in brackets.
std::string SideBySide(const json& object) {
  std::string line;
  for (const auto& [key, value] : object.items()) {
    if (value.is_array()) continue;
    line += (line.empty() ? "" : ", ") + Words(key) + " ";
    line += value.is_object() ? "(" + SideBySide(value) + ")" : Scalar(value);
  }
  return line;
}

}  // namespace

std::string ShortNumber(double value) {
  constexpr double kMillion = 1e6;
  std::array<char, 32> text{};
  constexpr double kFourDigits = 1e4;
  const bool whole = value == std::floor(value) || std::abs(value) >= kFourDigits;
  if (std::abs(value) < kMillion && whole) {
    std::snprintf(text.data(), text.size(), "%.0f", value);
    return text.data();
  }
  const char* unit = "";
  if (std::abs(value) >= kMillion) {
    value /= 1000.0;
    for (const char* larger : {"M", "G", "T"}) {
      if (std::abs(value) < 1000.0) break;
      value /= 1000.0;
      unit = larger;
    }
  }
  std::snprintf(text.data(), text.size(), "%.4g", value);
  return std::string(text.data()) + (*unit == '\0' ? "" : std::string(" ") + unit);
}

std::string DetailLines(const json& details) {
  std::string lines;
  for (const auto& [key, value] : details.items()) {
    const std::string start = "  " + Words(key) + ": ";
    if (value.is_object()) {
      lines += start + SideBySide(value) + "\n";
    } else if (!value.is_array()) {
      lines += start + Scalar(value) + "\n";
    } else if (!value.empty() && value.front().is_object()) {
      for (const json& entry : value) lines += start + SideBySide(entry) + "\n";
    }
  }
  return lines;
}

}  // namespace conclave::app
