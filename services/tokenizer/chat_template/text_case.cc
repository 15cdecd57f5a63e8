#include <algorithm>

#include <unicode/ucasemap.h>
#include <unicode/uchar.h>

#include "services/tokenizer/chat_template/text.h"

namespace conclave::tokenizer {
namespace {

using CaseFunction = int32_t (*)(const UCaseMap*, char*, int32_t, const char*, int32_t, UErrorCode*);

bool IsAllAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) >= 0; });
}

std::string MapCase(std::string_view text, CaseFunction function) {
  UErrorCode error = U_ZERO_ERROR;
  UCaseMap* map = ucasemap_open("", 0, &error);
  if (U_FAILURE(error)) return std::string(text);
  std::string out(text.size() + 16, '\0');
  for (int attempt = 0; attempt < 2; ++attempt) {
    error = U_ZERO_ERROR;
    const int32_t size = function(map, out.data(), static_cast<int32_t>(out.size()), text.data(),
                                  static_cast<int32_t>(text.size()), &error);
    out.resize(static_cast<size_t>(size));
    if (error != U_BUFFER_OVERFLOW_ERROR) break;
  }
  ucasemap_close(map);
  return out;
}

std::string TitleOne(char32_t code_point) {
  // Full title case of a character that is not a letter pair is its full upper case, capitalised.
  const auto simple = static_cast<char32_t>(u_totitle(static_cast<UChar32>(code_point)));
  std::string one;
  AppendCodePoint(code_point, one);
  if (simple != code_point) {
    std::string titled;
    AppendCodePoint(simple, titled);
    return titled;
  }
  const std::string upper = MapCase(one, ucasemap_utf8ToUpper);
  if (CountCodePoints(upper) < 2) return one;
  size_t first_end = 0;
  DecodeCodePoint(upper, first_end);
  return upper.substr(0, first_end) + ToLower(std::string_view(upper).substr(first_end));
}

bool IsCased(char32_t code_point) {
  return u_hasBinaryProperty(static_cast<UChar32>(code_point), UCHAR_CASED) != 0;
}

bool IsWordBreak(char32_t c) {
  return IsSpace(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
}

}  // namespace

std::string ToUpper(std::string_view text) {
  if (!IsAllAscii(text)) return MapCase(text, ucasemap_utf8ToUpper);
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return out;
}

std::string ToLower(std::string_view text) {
  if (!IsAllAscii(text)) return MapCase(text, ucasemap_utf8ToLower);
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

std::string Capitalize(std::string_view text) {
  if (text.empty()) return {};
  size_t first_end = 0;
  const char32_t first = DecodeCodePoint(text, first_end);
  const std::string lower = ToLower(text);
  const size_t lowered_first = ToLower(text.substr(0, first_end)).size();
  return TitleOne(first) + lower.substr(std::min(lowered_first, lower.size()));
}

std::string ToTitle(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    const char32_t first = DecodeCodePoint(text, end);
    if (!IsCased(first)) {
      out.append(text.substr(at, end - at));
      at = end;
      continue;
    }
    for (size_t next = end; next < text.size();) {
      if (!IsCased(DecodeCodePoint(text, next))) break;
      end = next;
    }
    out += Capitalize(text.substr(at, end - at));
    at = end;
  }
  return out;
}

std::string SwapCase(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const auto c = static_cast<UChar32>(DecodeCodePoint(text, at));
    const std::string_view one = text.substr(start, at - start);
    if (u_isUUppercase(c)) {
      out += ToLower(one);
    } else {
      out += u_isULowercase(c) ? ToUpper(one) : std::string(one);
    }
  }
  return out;
}

std::string FoldCase(std::string_view text) { return MapCase(text, ucasemap_utf8FoldCase); }

bool IsAllCase(std::string_view text, bool upper) {
  bool cased = false;
  for (size_t at = 0; at < text.size();) {
    const auto c = static_cast<UChar32>(DecodeCodePoint(text, at));
    if (u_istitle(c) || (upper ? u_isULowercase(c) : u_isUUppercase(c))) return false;
    cased = cased || (upper ? u_isUUppercase(c) : u_isULowercase(c));
  }
  return cased;
}

std::string TitleWords(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    const bool separator = IsWordBreak(DecodeCodePoint(text, end));
    const size_t first_end = end;
    for (size_t next = end; next < text.size();) {
      if (IsWordBreak(DecodeCodePoint(text, next)) != separator) break;
      end = next;
    }
    out += ToUpper(text.substr(at, first_end - at));
    out += ToLower(text.substr(first_end, end - first_end));
    at = end;
  }
  return out;
}

}  // namespace conclave::tokenizer
