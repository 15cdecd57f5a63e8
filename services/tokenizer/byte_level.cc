#include "services/tokenizer/byte_level.h"

#include <array>

namespace conclave::tokenizer {
namespace {

constexpr size_t kSpellings = 0x144;  // U+0000 to U+0143, the last character in use.

bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Tables {
  std::array<std::string, 256> spelling;
  std::array<int16_t, kSpellings> byte_of;

  Tables() {
    byte_of.fill(-1);
    int next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const int character = StandsForItself(byte) ? byte : next++;
      byte_of[character] = static_cast<int16_t>(byte);
      if (character < 0x80) {
        spelling[byte] = {static_cast<char>(character)};
      } else {
        spelling[byte] = {static_cast<char>(0xC0 | character >> 6),
                          static_cast<char>(0x80 | (character & 0x3F))};
      }
    }
  }
};

const Tables& GetTables() {
  static const Tables tables;
  return tables;
}

}  // namespace

std::string_view SpellByte(uint8_t byte) { return GetTables().spelling[byte]; }

std::string SpellBytes(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += SpellByte(static_cast<uint8_t>(byte));
  return out;
}

std::optional<std::string> UnspellBytes(std::string_view spelling) {
  const Tables& tables = GetTables();
  std::string out;
  out.reserve(spelling.size());
  for (size_t at = 0; at < spelling.size();) {
    const auto first = static_cast<uint8_t>(spelling[at]);
    size_t character = first;
    size_t length = 1;
    if (first >= 0x80) {
      if (first < 0xC2 || first > 0xC5 || at + 1 == spelling.size()) return std::nullopt;
      const auto second = static_cast<uint8_t>(spelling[at + 1]);
      if ((second & 0xC0) != 0x80) return std::nullopt;
      character = static_cast<size_t>(first & 0x1F) << 6 | (second & 0x3F);
      length = 2;
    }
    if (character >= kSpellings || tables.byte_of[character] < 0) return std::nullopt;
    out.push_back(static_cast<char>(tables.byte_of[character]));
    at += length;
  }
  return out;
}

}  // namespace conclave::tokenizer
