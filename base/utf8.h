#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace conclave {

/// The length of the longest prefix of `text` that is valid UTF-8 (RFC 3629: no overlong forms, no
/// surrogates, nothing above U+10FFFF). Equals text.size() when the whole text is valid.
size_t ValidUtf8Prefix(std::string_view text);

/// Whether all of `text` is valid UTF-8.
inline bool IsValidUtf8(std::string_view text) { return ValidUtf8Prefix(text) == text.size(); }

/// How many bytes at the end of `text` begin a character that more bytes could still complete (0 to 3).
size_t IncompleteUtf8Suffix(std::string_view text);

/// `text` with every maximal ill-formed part replaced by U+FFFD, as Unicode 15 section 3.9 recommends
/// (and as Python's errors="replace" does).
std::string ReplaceInvalidUtf8(std::string_view text);

/// `text` with every byte of an ill-formed part as "\xFF", in hexadecimal: names stay apart that replacement
/// would make equal, unless one spells such an escape out.
std::string EscapeInvalidUtf8(std::string_view text);

}  // namespace conclave
