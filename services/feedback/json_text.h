#pragma once

#include <string>
#include <string_view>

namespace conclave::feedback {

/// Appends `text` as a JSON string with its quotes (RFC 8259). Control characters and the line ends that are
/// not ASCII (U+0085, U+2028, U+2029) are escaped, so that a line stays one line for every reader; what is
/// not UTF-8 becomes U+FFFD.
void AppendJsonString(std::string& json, std::string_view text);

}  // namespace conclave::feedback
