#pragma once

#include <string>
#include <string_view>

namespace conclave::retriever {

/// HTML's named character references: "NAME,TEXT " for each, in the order of their names; "NAME+,TEXT " for
/// those that need no semicolon.
extern const char kCharacterReferenceTable[];

/// Reads the character reference at the start of `text` (which starts with '&'), appends what it stands for
/// to `out`, and returns how many bytes it took. A '&' that begins none stands for itself and takes one byte.
/// WHATWG HTML, section 13.2.5.72 ff., outside attributes. Any thread may call.
size_t DecodeCharacterReference(std::string_view text, std::string& out);

}  // namespace conclave::retriever
