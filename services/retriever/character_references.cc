#include "services/retriever/character_references.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "services/retriever/text_decoding.h"

namespace conclave::retriever {
namespace {

/// The longest name, and the longest that needs no semicolon.
constexpr size_t kMaxNameBytes = 32;
constexpr size_t kMaxOldNameBytes = 6;

struct Reference {
  std::string_view name;
  std::string_view text;
  bool needs_semicolon;
};

std::vector<Reference> ReadTable() {
  std::vector<Reference> table;
  std::string_view rest(kCharacterReferenceTable);
  while (!rest.empty()) {
    const size_t comma = rest.find(','), end = rest.find(' ', comma);
    std::string_view name = rest.substr(0, comma);
    const bool old = name.ends_with('+');
    if (old) name.remove_suffix(1);
    table.push_back({name, rest.substr(comma + 1, end - comma - 1), !old});
    rest.remove_prefix(end + 1);
  }
  const auto by_name = [](const Reference& a, const Reference& b) { return a.name < b.name; };
  std::sort(table.begin(), table.end(), by_name);
  return table;
}

const Reference* FindReference(std::string_view name) {
  static const std::vector<Reference> table = ReadTable();
  const auto before = [](const Reference& entry, std::string_view wanted) { return entry.name < wanted; };
  const auto found = std::lower_bound(table.begin(), table.end(), name, before);
  return found != table.end() && found->name == name ? &*found : nullptr;
}

bool IsAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/// -1 when `c` is no digit of the base.
int DigitOf(char c, int base) {
  if (c >= '0' && c <= '9') return c - '0';
  if (base == 16 && (c | 0x20) >= 'a' && (c | 0x20) <= 'f') return (c | 0x20) - 'a' + 10;
  return -1;
}

/// References to 0x80 to 0x9F mean Windows-1252's characters; 0 where it has none.
constexpr char16_t kWindows1252[32] = {0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                       0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017D, 0,
                                       0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                       0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

/// `text` starts with "&#". Returns 0 when no digit follows.
size_t DecodeNumber(std::string_view text, std::string& out) {
  size_t at = 2;
  const int base = at < text.size() && (text[at] | 0x20) == 'x' ? 16 : 10;
  if (base == 16) ++at;
  const size_t first = at;
  uint32_t code = 0;
  for (; at < text.size() && DigitOf(text[at], base) >= 0; ++at) {
    code = std::min<uint32_t>(code * base + DigitOf(text[at], base), 0x110000);
  }
  if (at == first) return 0;
  if (code >= 0x80 && code < 0xA0 && kWindows1252[code - 0x80] != 0) code = kWindows1252[code - 0x80];
  AppendUtf8(out, code == 0 ? 0xFFFD : code);
  return at < text.size() && text[at] == ';' ? at + 1 : at;
}

size_t DecodeName(std::string_view text, std::string& out) {
  size_t length = 0;
  while (length <= kMaxNameBytes && 1 + length < text.size() && IsAlphanumeric(text[1 + length])) ++length;
  if (1 + length < text.size() && text[1 + length] == ';') {
    if (const Reference* found = FindReference(text.substr(1, length))) {
      out += found->text;
      return length + 2;
    }
  }
  for (length = std::min(length, kMaxOldNameBytes); length > 0; --length) {
    const Reference* found = FindReference(text.substr(1, length));
    if (found == nullptr || found->needs_semicolon) continue;
    out += found->text;
    return length + 1;
  }
  return 0;
}

}  // namespace

size_t DecodeCharacterReference(std::string_view text, std::string& out) {
  const bool number = text.size() > 1 && text[1] == '#';
  const size_t taken = number ? DecodeNumber(text, out) : DecodeName(text, out);
  if (taken > 0) return taken;
  out += '&';
  return 1;
}

}  // namespace conclave::retriever
