#include "services/tokenizer/byte_level.h"

#include <set>

#include <gtest/gtest.h>

namespace conclave::tokenizer {
namespace {

TEST(ByteLevel, SpellsAsGpt2Does) {
  EXPECT_EQ(SpellBytes(" a\n\xE2\x82\xAC~!"), "ĠaĊâĤ¬~!");
  EXPECT_EQ(SpellByte(0x00), "Ā");
  EXPECT_EQ(SpellByte(0x7F), "ġ");
  EXPECT_EQ(SpellByte(0xA0), "ł");
  EXPECT_EQ(SpellByte(0xAD), "Ń");
}

TEST(ByteLevel, EveryByteComesBack) {
  std::set<std::string_view> spellings;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string_view spelling = SpellByte(static_cast<uint8_t>(byte));
    spellings.insert(spelling);
    EXPECT_EQ(UnspellBytes(spelling), std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(spellings.size(), 256u);
}

TEST(ByteLevel, OtherCharactersStandForNoByte) {
  for (const char* text : {" ", "\n", "\u00AD", "\u0144", "\u0180", "€", "\xC4", "\xC4z", "\x80", "😀"}) {
    EXPECT_EQ(UnspellBytes(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace conclave::tokenizer
