#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace conclave::app {

/// The object on one line; text that is not valid UTF-8 is mended with U+FFFD instead of refused.
inline std::string JsonLine(const nlohmann::json& object) {
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace conclave::app
