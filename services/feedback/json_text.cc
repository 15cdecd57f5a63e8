#include "services/feedback/json_text.h"

#include <cstdint>

#include "base/utf8.h"

namespace conclave::feedback {
namespace {

void AppendEscape(std::string& json, uint32_t unit) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  json += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) json += kDigits[(unit >> shift) & 15];
}

void AppendAscii(std::string& json, char character) {
  switch (character) {
    case '"': json += "\\\""; return;
    case '\\': json += "\\\\"; return;
    case '\n': json += "\\n"; return;
    case '\r': json += "\\r"; return;
    case '\t': json += "\\t"; return;
    default: break;
  }
  const auto byte = static_cast<uint8_t>(character);
  if (byte < 0x20) {
    AppendEscape(json, byte);
  } else {
    json += character;
  }
}

struct LineEnd {
  std::string_view bytes;
  uint32_t unit;
};
constexpr LineEnd kLineEnds[] = {{"\xc2\x85", 0x85}, {"\xe2\x80\xa8", 0x2028}, {"\xe2\x80\xa9", 0x2029}};

void AppendValidUtf8(std::string& json, std::string_view text) {
  while (!text.empty()) {
    size_t taken = 1;
    for (const LineEnd& line_end : kLineEnds) {
      if (text.starts_with(line_end.bytes)) {
        AppendEscape(json, line_end.unit);
        taken = line_end.bytes.size();
      }
    }
    if (taken == 1) AppendAscii(json, text.front());
    text.remove_prefix(taken);
  }
}

}  // namespace

void AppendJsonString(std::string& json, std::string_view text) {
  json += '"';
  if (IsValidUtf8(text)) {
    AppendValidUtf8(json, text);
  } else {
    AppendValidUtf8(json, ReplaceInvalidUtf8(text));
  }
  json += '"';
}

}  // namespace conclave::feedback
