#include "services/retriever/chunker.h"

#include <string>

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace conclave::retriever {
namespace {

std::string Words(size_t count, const std::string& end_of_each = " ") {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += "w" + std::to_string(i) + end_of_each;
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

size_t CountWords(const std::string& text) {
  size_t words = 0;
  bool in_word = false;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\n';
    words += !blank && !in_word;
    in_word = !blank;
  }
  return words;
}

TEST(Chunker, JoinsParagraphsUnderOneHeading) {
  const auto chunks = ChunkBlocks({{"A", "one"}, {"A", "two"}, {"B", "three"}});
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].heading, "A");
  EXPECT_EQ(chunks[0].text, "one\n\ntwo");
  EXPECT_EQ(chunks[1].heading, "B");
  EXPECT_EQ(chunks[1].text, "three");
  EXPECT_TRUE(ChunkBlocks({}).empty());
}

TEST(Chunker, PrefersTheEndOfAParagraph) {
  const auto chunks = ChunkBlocks({{"", Words(150)}, {"", Words(150)}});
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].text, Words(150));
  EXPECT_EQ(chunks[1].text, Words(150));
}

TEST(Chunker, CutsALongParagraphWithOverlap) {
  const auto chunks = ChunkBlocks({{"", Words(1000)}});
  ASSERT_GE(chunks.size(), 5u);
  for (const Chunk& chunk : chunks) EXPECT_LE(CountWords(chunk.text), 200u);
  EXPECT_TRUE(chunks[0].text.ends_with(" w199"));
  EXPECT_TRUE(chunks[1].text.starts_with("w170 "));
  EXPECT_TRUE(chunks.back().text.ends_with("w999"));
}

TEST(Chunker, PrefersTheEndOfASentence) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "This sentence holds six words. ";
  text.pop_back();
  for (const Chunk& chunk : ChunkBlocks({{"", text}})) {
    EXPECT_TRUE(chunk.text.starts_with("This")) << chunk.text;
    EXPECT_TRUE(chunk.text.ends_with("words.")) << chunk.text;
  }
}

TEST(Chunker, NeverSplitsACharacter) {
  // Han without blanks, a family emoji (7 code points), a letter with two marks, flags.
  for (const std::string character : {"漢", "👨‍👩‍👧‍👦", "ệ", "🇩🇪", "ก", "한"}) {
    std::string text;
    for (int i = 0; i < 5000; ++i) text += character;
    const auto chunks = ChunkBlocks({{"", text}});
    EXPECT_GT(chunks.size(), 1u);
    for (const Chunk& chunk : chunks) {
      EXPECT_TRUE(IsValidUtf8(chunk.text));
      EXPECT_EQ(chunk.text.size() % character.size(), 0u) << character;
      EXPECT_TRUE(chunk.text.starts_with(character));
    }
  }
}

TEST(Chunker, BoundsHugeWordsAndMarks) {
  for (const std::string& text : {std::string(1 << 20, 'x'), "a" + [] {
                                    std::string marks;
                                    for (int i = 0; i < 200'000; ++i) marks += "\u0301";
                                    return marks;
                                  }()}) {
    for (const Chunk& chunk : ChunkBlocks({{"", text}})) {
      EXPECT_LT(chunk.text.size(), size_t{64} << 10);
      EXPECT_TRUE(IsValidUtf8(chunk.text));
    }
  }
}

TEST(Chunker, EveryWordIsInAPassage) {
  std::vector<TextBlock> blocks;
  for (int i = 0; i < 50; ++i) blocks.push_back({"", Words(7 * i % 330 + 1, i % 3 ? " " : ". ")});
  std::string all;
  for (const Chunk& chunk : ChunkBlocks(blocks)) all += chunk.text + "\n";
  for (const TextBlock& block : blocks) EXPECT_NE(all.find(block.text.substr(0, 10)), std::string::npos);
  for (const TextBlock& block : blocks) {
    EXPECT_NE(all.find(block.text.substr(block.text.rfind('w'))), std::string::npos);
  }
}

TEST(Chunker, AnyOptionsEnd) {
  for (const size_t target : {0, 1, 2, 5}) {
    for (const size_t overlap : {0, 1, 100}) {
      const auto chunks = ChunkBlocks({{"", Words(100)}}, {.target_words = target, .overlap_words = overlap});
      EXPECT_LE(chunks.size(), 100u);
      EXPECT_GE(chunks.size(), 20u);
    }
  }
}

}  // namespace
}  // namespace conclave::retriever
