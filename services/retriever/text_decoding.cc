#include "services/retriever/text_decoding.h"

#include <cstdint>

#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include "base/utf8.h"

namespace conclave::retriever {
namespace {

constexpr char32_t kReplacement = 0xFFFD;
/// One character in so many may be a control character or ill-formed.
constexpr size_t kMaxBadShare = 10;

std::string DecodeUtf16(std::string_view bytes, bool big_endian) {
  const size_t units = bytes.size() / 2;
  const auto unit = [&](size_t i) -> char16_t {
    const auto first = static_cast<uint8_t>(bytes[2 * i]), second = static_cast<uint8_t>(bytes[2 * i + 1]);
    return big_endian ? first << 8 | second : second << 8 | first;
  };
  std::string text;
  text.reserve(units + units / 2);
  for (size_t i = 0; i < units; ++i) {
    const char16_t lead = unit(i);
    const bool pair = U16_IS_LEAD(lead) && i + 1 < units && U16_IS_TRAIL(unit(i + 1));
    AppendUtf8(text, pair ? static_cast<char32_t>(U16_GET_SUPPLEMENTARY(lead, unit(i + 1))) : lead);
    i += pair;
  }
  if (bytes.size() % 2 != 0) AppendUtf8(text, kReplacement);
  return text;
}

bool IsOddControl(unsigned char byte) {
  return (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r' && byte != '\f') || byte == 0x7F;
}

bool LooksLikeText(std::string_view text) {
  size_t characters = 0, bad = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0) return false;
    characters += !U8_IS_TRAIL(byte);
    bad += IsOddControl(byte) || text.compare(i, 3, "\xEF\xBF\xBD") == 0;
  }
  return bad * kMaxBadShare <= characters;
}

}  // namespace

void AppendUtf8(std::string& text, char32_t code_point) {
  if (code_point > 0x10FFFF || U_IS_SURROGATE(code_point)) code_point = kReplacement;
  char buffer[U8_MAX_LENGTH];
  size_t length = 0;
  U8_APPEND_UNSAFE(buffer, length, code_point);
  text.append(buffer, length);
}

std::optional<std::string> DecodeText(std::string_view bytes) {
  std::string text;
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF")) {
    text = DecodeUtf16(bytes.substr(2), bytes[0] == '\xFE');
  } else {
    if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
    // Looked for first, so that a large binary file is not converted only to be thrown away.
    if (bytes.find('\0') != std::string_view::npos) return std::nullopt;
    text = ReplaceInvalidUtf8(bytes);
  }
  if (!LooksLikeText(text)) return std::nullopt;
  return text;
}

}  // namespace conclave::retriever
