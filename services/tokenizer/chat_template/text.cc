#include "services/tokenizer/chat_template/text.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

namespace conclave::tokenizer {
namespace {

bool Contains(std::string_view chars, char32_t wanted) {
  for (size_t at = 0; at < chars.size();) {
    if (DecodeCodePoint(chars, at) == wanted) return true;
  }
  return false;
}

bool Matches(std::optional<std::string_view> chars, char32_t code_point) {
  return chars ? Contains(*chars, code_point) : IsSpace(code_point);
}

/// The start of the last code point of text[0, end).
size_t PreviousStart(std::string_view text, size_t end) {
  size_t start = end - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return start;
}

}  // namespace

bool IsValidUtf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto length = static_cast<int64_t>(text.size());
  for (int64_t at = 0; at < length;) {
    UChar32 code_point = 0;
    U8_NEXT(bytes, at, length, code_point);
    if (code_point < 0) return false;
  }
  return true;
}

size_t CountCodePoints(std::string_view text) {
  size_t count = 0;
  for (const char byte : text) count += (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  return count;
}

char32_t DecodeCodePoint(std::string_view text, size_t& position) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto length = static_cast<int64_t>(text.size());
  auto at = static_cast<int64_t>(position);
  UChar32 code_point = 0;
  U8_NEXT_OR_FFFD(bytes, at, length, code_point);
  position = static_cast<size_t>(at);
  return static_cast<char32_t>(code_point);
}

void AppendCodePoint(char32_t code_point, std::string& out) {
  char buffer[4];
  int32_t size = 0;
  auto* bytes = reinterpret_cast<uint8_t*>(buffer);
  U8_APPEND_UNSAFE(bytes, size, static_cast<UChar32>(code_point));
  out.append(buffer, static_cast<size_t>(size));
}

size_t ByteOffset(const StringData& text, size_t index) {
  if (index >= text.code_points) return text.bytes.size();
  if (text.IsAscii()) return index;
  size_t seen = 0;
  for (size_t at = 0; at < text.bytes.size(); ++at) {
    if ((static_cast<unsigned char>(text.bytes[at]) & 0xC0) == 0x80) continue;
    if (seen++ == index) return at;
  }
  return text.bytes.size();
}

bool IsSpace(char32_t code_point) {
  if (code_point < 0x80) {
    return code_point == ' ' || (code_point >= 9 && code_point <= 13) ||
           (code_point >= 0x1C && code_point <= 0x1F);
  }
  if (code_point == 0x85) return true;
  const auto c = static_cast<UChar32>(code_point);
  const UCharDirection direction = u_charDirection(c);
  return u_charType(c) == U_SPACE_SEPARATOR || direction == U_WHITE_SPACE_NEUTRAL ||
         direction == U_BLOCK_SEPARATOR || direction == U_SEGMENT_SEPARATOR;
}

bool IsPrintable(char32_t code_point) {
  if (code_point == ' ') return true;
  switch (u_charType(static_cast<UChar32>(code_point))) {
    case U_CONTROL_CHAR:
    case U_FORMAT_CHAR:
    case U_SURROGATE:
    case U_PRIVATE_USE_CHAR:
    case U_UNASSIGNED:
    case U_LINE_SEPARATOR:
    case U_PARAGRAPH_SEPARATOR:
    case U_SPACE_SEPARATOR: return false;
    default: return true;
  }
}

std::string_view Strip(std::string_view text, std::optional<std::string_view> chars, bool left, bool right) {
  size_t begin = 0;
  size_t end = text.size();
  while (left && begin < end) {
    size_t next = begin;
    if (!Matches(chars, DecodeCodePoint(text, next))) break;
    begin = next;
  }
  while (right && begin < end) {
    const size_t start = PreviousStart(text, end);
    size_t at = start;
    if (!Matches(chars, DecodeCodePoint(text, at))) break;
    end = start;
  }
  return text.substr(begin, end - begin);
}

std::string EscapeHtml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '\'': out += "&#39;"; break;
      case '"': out += "&#34;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace conclave::tokenizer
