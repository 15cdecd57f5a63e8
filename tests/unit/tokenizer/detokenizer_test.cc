#include "services/tokenizer/detokenizer.h"

#include <random>

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "services/tokenizer/limits.h"
#include "tests/unit/tokenizer/small_vocabulary.h"

namespace conclave::tokenizer {
namespace {

class DetokenizerTest : public testing::Test {
 protected:
  std::string Append(std::vector<int32_t> ids, bool keep_special = false) {
    const auto text = detokenizer_.Append(ids, keep_special);
    EXPECT_TRUE(text.ok()) << text.status().ToString();
    return text.ok() ? *text : "";
  }

  std::shared_ptr<const Vocabulary> vocabulary_ = MakeVocabulary(SmallParts(WordMerges()));
  Detokenizer detokenizer_{vocabulary_};
};

TEST_F(DetokenizerTest, HoldsPartOfACharacterBack) {
  EXPECT_EQ(Append({'a', 0xF0}), "a");
  EXPECT_EQ(Append({0x9F, 0x98}), "");
  EXPECT_EQ(Append({0x80, 'b'}), "😀b");
  EXPECT_EQ(detokenizer_.Finish(), "");
}

TEST_F(DetokenizerTest, ReplacesWhatCanNoLongerBecomeACharacter) {
  EXPECT_EQ(Append({0xF0, 0x9F}), "");
  EXPECT_EQ(Append({'x'}), "\uFFFDx");
  EXPECT_EQ(Append({0xC0, 0xAF}), "\uFFFD\uFFFD");
  EXPECT_EQ(Append({0xE2, 0x82}), "");
  EXPECT_EQ(detokenizer_.Finish(), "\uFFFD");
  EXPECT_EQ(detokenizer_.Finish(), "");
}

TEST_F(DetokenizerTest, LeavesControlTokensOutUnlessAsked) {
  EXPECT_EQ(Append({259, 266, 268}), "hello<tool>");
  EXPECT_EQ(Append({266}, /*keep_special=*/true), "<|end|>");
}

TEST_F(DetokenizerTest, RefusesUnknownIdsAndTakesNothing) {
  EXPECT_EQ(Append({0xE2}), "");
  for (const int32_t id : {-1, 269, INT32_MAX}) {
    const auto text = detokenizer_.Append(std::vector<int32_t>{'a', id});
    EXPECT_EQ(text.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(text.status().message().find(std::to_string(id)), std::string::npos);
  }
  EXPECT_EQ(Append({0x82, 0xAC}), "€");
  const std::vector<int32_t> many(kMaxDecodeTokens + 1, 'a');
  EXPECT_EQ(detokenizer_.Append(many).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(DetokenizerTest, AnyCutOfTheTokensGivesTheSameText) {
  std::mt19937 random(17);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    std::string text;
    for (int i = 0; i < 30; ++i) {
      // Lead and continuation bytes often, so that characters form and break.
      const int32_t id =
          random() % 3 ? 0x80 + static_cast<int32_t>(random() % 0x80) : static_cast<int32_t>(random() % 266);
      bytes += vocabulary_->Bytes(id);
      const std::string part = Append({id});
      EXPECT_TRUE(IsValidUtf8(part));
      text += part;
    }
    text += detokenizer_.Finish();
    ASSERT_EQ(text, ReplaceInvalidUtf8(bytes)) << "round " << round;
  }
}

}  // namespace
}  // namespace conclave::tokenizer
