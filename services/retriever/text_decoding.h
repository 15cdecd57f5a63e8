#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace conclave::retriever {

/// The bytes of a file as valid UTF-8 without a byte order mark, or nothing when they are not text: a NUL
/// character, or more than one character in ten that is a control character or ill-formed. UTF-8 is assumed
/// unless a byte order mark says UTF-16 (Unicode 15, section 23.8); the rest of what is ill-formed becomes
/// U+FFFD.
std::optional<std::string> DecodeText(std::string_view bytes);

/// Appends one code point, encoded; one that is none (a surrogate, above U+10FFFF) as U+FFFD.
void AppendUtf8(std::string& text, char32_t code_point);

}  // namespace conclave::retriever
