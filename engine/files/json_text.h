#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace conclave::engine {

/// Parses hostile JSON: nesting deeper than kMaxJsonDepth, keys that appear twice in one object, invalid
/// UTF-8 and anything that is not JSON are refused. Never throws. Errors: INVALID_ARGUMENT (with the byte
/// where it went wrong).
Result<nlohmann::json> ParseJson(std::string_view text);

}  // namespace conclave::engine
