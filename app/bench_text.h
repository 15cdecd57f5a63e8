#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace conclave::app {

/// A number for people: below a million with four digits, or all that stand before the point; from a million on
/// with four digits and M, G or T.
std::string ShortNumber(double value);

/// A bench's details, a line each and indented by two: nested objects side by side, lists of objects with one
/// line an entry. Lists of numbers are left to --json.
std::string DetailLines(const nlohmann::json& details);

}  // namespace conclave::app
