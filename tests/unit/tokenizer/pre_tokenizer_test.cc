#include "services/tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/tokenizer/unicode_classes.h"

namespace conclave::tokenizer {
namespace {

using testing::ElementsAre;

struct Collector final : PieceSink {
  void Piece(std::string_view piece) override { pieces.emplace_back(piece); }
  std::vector<std::string> pieces;
};

std::vector<std::string> Pieces(std::string_view name, std::string_view text) {
  const auto choice = FindPreTokenizer(name);
  EXPECT_TRUE(choice.ok()) << choice.status().ToString();
  Collector collector;
  if (choice.ok()) choice->splitter->Split(text, collector);
  return collector.pieces;
}

TEST(PreTokenizer, Gpt2KeepsTheSpaceWithTheWord) {
  EXPECT_THAT(Pieces("gpt-2", "Hello  big\n\n world 123!?"),
              ElementsAre("Hello", " ", " big", "\n\n", " world", " 123", "!?"));
  EXPECT_THAT(Pieces("gpt-2", "it's I'LL 'tis"), ElementsAre("it", "'s", " I", "'", "LL", " '", "tis"));
  EXPECT_THAT(Pieces("gpt-2", "  "), ElementsAre("  "));
  EXPECT_THAT(Pieces("gpt-2", "\t\tx"), ElementsAre("\t", "\t", "x"));
  EXPECT_THAT(Pieces("gpt-2", ""), ElementsAre());
}

TEST(PreTokenizer, SmolLmCutsEveryDigitOut) {
  EXPECT_THAT(Pieces("smollm", "a  12 b"), ElementsAre("a", "  ", "1", "2", " b"));
  EXPECT_THAT(Pieces("smollm", " 1"), ElementsAre(" ", "1"));
  EXPECT_THAT(Pieces("smollm", "!½x"), ElementsAre("!", "½", "x"));
}

TEST(PreTokenizer, LlamaGroupsDigitsAndNewlines) {
  EXPECT_THAT(Pieces("llama-bpe", "I'LL pay 12345.\n\n  now"),
              ElementsAre("I", "'LL", " pay", " ", "123", "45", ".\n\n", " ", " now"));
  EXPECT_THAT(Pieces("llama-bpe", "x \n \n y"), ElementsAre("x", " \n \n", " y"));
  EXPECT_THAT(Pieces("llama-bpe", "\"quoted"), ElementsAre("\"quoted"));
  EXPECT_THAT(Pieces("llama-bpe", "'\u017Fx"), ElementsAre("'\u017F", "x"));
  EXPECT_THAT(Pieces("qwen2", "123"), ElementsAre("1", "2", "3"));
}

TEST(PreTokenizer, MarksBelongToWordsOnlyInQwen35) {
  EXPECT_THAT(Pieces("qwen2", "e\u0301a"), ElementsAre("e", "\u0301a"));
  EXPECT_THAT(Pieces("qwen35", "e\u0301a"), ElementsAre("e\u0301a"));
}

TEST(PreTokenizer, StagesCutThePiecesBeforeThem) {
  EXPECT_THAT(Pieces("deepseek-coder", "if x1\n"), ElementsAre("if", " x", "1", "\n"));
  EXPECT_THAT(Pieces("falcon", "12345 ok!!"), ElementsAre("123", "45", " ok", "!!"));
  EXPECT_THAT(Pieces("deepseek-llm", "ab 123一二"), ElementsAre("ab", " ", "123", "一二"));
}

TEST(PreTokenizer, EveryPreTokenizerHandsOutTheWholeText) {
  const std::string text = "Été 3½ \u3000\u00A0x\u0301\r\n\n 'S's \u200D😀\U0010FFFF  ";
  for (const char* name :
       {"gpt-2", "smollm", "llama-bpe", "qwen2", "qwen35", "deepseek-llm", "deepseek-coder", "falcon"}) {
    std::string joined;
    for (const std::string& piece : Pieces(name, text)) {
      EXPECT_FALSE(piece.empty()) << name;
      joined += piece;
    }
    EXPECT_EQ(joined, text) << name;
  }
}

TEST(PreTokenizer, UnknownNamesAreRefusedByName) {
  const auto choice = FindPreTokenizer("klingon");
  EXPECT_EQ(choice.status().code(), StatusCode::kUnimplemented);
  EXPECT_THAT(choice.status().message(), testing::HasSubstr("'klingon'"));
}

TEST(CharacterTable, KnowsTheClassesOfUnicode16) {
  const CharacterTable& table = CharacterTable::Get();
  EXPECT_EQ(table.Classes('a'), kLetter);
  EXPECT_EQ(table.Classes('7'), kNumber | kDigit);
  EXPECT_EQ(table.Classes('$'), kSymbol | kPunctuated);
  EXPECT_EQ(table.Classes(0x3000), kSpace);
  EXPECT_EQ(table.Classes(0x0301), kMark);
  EXPECT_EQ(table.Classes(0x4E00), kLetter);
  EXPECT_EQ(table.Classes(0x200B), 0);        // Zero-width space is no white space.
  EXPECT_EQ(table.Classes(0x1C8A), kLetter);  // New in Unicode 16.
  EXPECT_EQ(table.Classes(0x11DE0), kDigit);  // New in Unicode 17: only the digit cutter knows it.
  EXPECT_EQ(table.Classes(0x10FFFF), 0);
}

}  // namespace
}  // namespace conclave::tokenizer
