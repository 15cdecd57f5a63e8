#pragma once

#include <string>
#include <string_view>

namespace conclave::engine {

/// `text` in single quotes for a message: at most 120 of its bytes, everything but printable ASCII written as
/// \xNN, so that a hostile name can neither fill a log nor drive a terminal.
std::string Quoted(std::string_view text);

}  // namespace conclave::engine
