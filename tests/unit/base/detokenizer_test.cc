#include "base/detokenizer.h"

#include <random>

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace conclave {
namespace {

constexpr int32_t kHello = 256;
constexpr int32_t kControl = 257;
constexpr int32_t kTokens = 258;

/// Token N below 256 is byte N.
std::shared_ptr<const TokenTable> Bytes() {
  TokenTable table;
  for (int byte = 0; byte < 256; ++byte) table.Add(std::string(1, static_cast<char>(byte)), false);
  table.Add("hello", false);
  table.Add("<|end|>", true);
  return std::make_shared<const TokenTable>(std::move(table));
}

class DetokenizerTest : public testing::Test {
 protected:
  std::string Append(std::vector<int32_t> ids, bool keep_special = false) {
    const auto text = detokenizer_.Append(ids, keep_special);
    EXPECT_TRUE(text.ok()) << text.status().ToString();
    return text.ok() ? *text : "";
  }

  std::shared_ptr<const TokenTable> tokens_ = Bytes();
  Detokenizer detokenizer_{tokens_};
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
  EXPECT_EQ(Append({kHello, kControl, '!'}), "hello!");
  EXPECT_EQ(Append({kControl}, /*keep_special=*/true), "<|end|>");
}

TEST_F(DetokenizerTest, RefusesUnknownIdsAndTakesNothing) {
  EXPECT_EQ(Append({0xE2}), "");
  for (const int32_t id : {-1, kTokens, INT32_MAX}) {
    const auto text = detokenizer_.Append(std::vector<int32_t>{'a', id});
    EXPECT_EQ(text.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(text.status().message().find(std::to_string(id)), std::string::npos);
  }
  EXPECT_EQ(Append({0x82, 0xAC}), "€");
}

TEST_F(DetokenizerTest, AnyCutOfTheTokensGivesTheSameText) {
  std::mt19937 random(17);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    std::string text;
    for (int i = 0; i < 30; ++i) {
      // Lead and continuation bytes often, so that characters form and break.
      const int32_t id = random() % 3 ? 0x80 + static_cast<int32_t>(random() % 0x80)
                                      : static_cast<int32_t>(random() % kControl);
      bytes += tokens_->Bytes(id);
      const std::string part = Append({id});
      EXPECT_TRUE(IsValidUtf8(part));
      text += part;
    }
    text += detokenizer_.Finish();
    ASSERT_EQ(text, ReplaceInvalidUtf8(bytes)) << "round " << round;
  }
}

}  // namespace
}  // namespace conclave
