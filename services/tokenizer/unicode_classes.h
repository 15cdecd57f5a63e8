#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace conclave::tokenizer {

/// What pre-tokenizers ask of a character, one bit each. Unicode 16, the version that the reference's regular
/// expressions know; vocabularies were trained with them, so a newer table would not be better.
enum CharacterClass : uint8_t {
  kLetter = 1,        // General category L.
  kNumber = 2,        // N.
  kMark = 4,          // M.
  kPunctuation = 8,   // P.
  kSymbol = 16,       // S.
  kSpace = 32,        // White_Space.
  kDigit = 64,        // N in the reference's "Digits" pre-tokenizer, which reads another table (Unicode 17).
  kPunctuated = 128,  // P or ASCII punctuation in its "Punctuation" pre-tokenizer (an older table).
};

struct CharacterRange {
  uint32_t first;  // Up to the next range's first.
  uint8_t classes;
};

/// All of Unicode, ascending from U+0000 (generated: unicode_ranges.cc).
extern const CharacterRange kCharacterRanges[];
extern const size_t kCharacterRangeCount;

/// The ranges laid out for look-up in constant time. Immutable; any thread may read.
class CharacterTable {
 public:
  static const CharacterTable& Get();

  /// The classes of a code point below 0x110000.
  uint8_t Classes(uint32_t character) const { return blocks_[block_of_[character >> 8]][character & 0xFF]; }
  uint8_t AsciiClasses(uint8_t character) const { return ascii_[character]; }

 private:
  CharacterTable();
  static constexpr size_t kMaxBlocks = 512;

  std::array<uint8_t, 256> ascii_{};  // The first block, for speed.
  std::array<uint16_t, 0x1100> block_of_{};
  std::array<std::array<uint8_t, 256>, kMaxBlocks> blocks_{};
};

struct DecodedCharacter {
  uint32_t character;
  uint32_t length;  // In bytes.
};

/// The character at `at`; the text must be valid UTF-8 and `at` a character's first byte.
inline DecodedCharacter DecodeValid(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[at + i])); };
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {(first & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (first < 0xF0) return {(first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

}  // namespace conclave::tokenizer
