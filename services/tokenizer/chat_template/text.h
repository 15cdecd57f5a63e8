#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "services/tokenizer/chat_template/value.h"

namespace conclave::tokenizer {

/// Python's view of text: characters are code points, white space and letter case are Unicode's.

bool IsValidUtf8(std::string_view text);
size_t CountCodePoints(std::string_view text);
/// The code point at byte `position`, which moves behind it. `position` < text.size().
char32_t DecodeCodePoint(std::string_view text, size_t& position);
void AppendCodePoint(char32_t code_point, std::string& out);
/// Where the `index`th code point starts; the text's size for an index at or behind the end.
size_t ByteOffset(const StringData& text, size_t index);

/// str.isspace() of one character.
bool IsSpace(char32_t code_point);
/// Whether repr() shows the character as it is.
bool IsPrintable(char32_t code_point);

/// str.strip(chars) on the sides asked for; white space without `chars`. A view into `text`.
std::string_view Strip(std::string_view text, std::optional<std::string_view> chars, bool left, bool right);

std::string ToUpper(std::string_view text);
std::string ToLower(std::string_view text);
/// str.capitalize(): the first character in title case, the others in lower case.
std::string Capitalize(std::string_view text);
/// str.title(): each run of cased characters capitalised.
std::string ToTitle(std::string_view text);
std::string SwapCase(std::string_view text);
std::string FoldCase(std::string_view text);
/// str.isupper() and str.islower().
bool IsAllCase(std::string_view text, bool upper);
/// The title filter of jinja2: words end at white space and at - ( { [ <
std::string TitleWords(std::string_view text);

/// & < > ' " as HTML entities.
std::string EscapeHtml(std::string_view text);

}  // namespace conclave::tokenizer
