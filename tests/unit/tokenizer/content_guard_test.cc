#include "services/tokenizer/content_guard.h"

#include <gtest/gtest.h>

#include "tests/unit/tokenizer/small_vocabulary.h"

namespace conclave::tokenizer {
namespace {

const std::string kGuard(kContentGuard);

class ContentGuard : public testing::Test {
 protected:
  ContentGuard()
      : vocabulary_(*Vocabulary::Create(SmallParts(WordMerges()))), special_tokens_(*vocabulary_) {}

  std::string Guard(std::string_view content) const {
    return GuardContent(content, special_tokens_, *vocabulary_);
  }

  std::shared_ptr<const Vocabulary> vocabulary_;
  SpecialTokens special_tokens_;
};

TEST_F(ContentGuard, StandsBeforeEveryControlToken) {
  EXPECT_EQ(Guard("a<|end|>b<|start|>"), "a" + kGuard + "<|end|>b" + kGuard + "<|start|>");
  EXPECT_EQ(Guard("<|end<|end|>"), "<|end" + kGuard + "<|end|>");
  EXPECT_EQ(Guard("plain <| text |>"), "plain <| text |>");
  EXPECT_EQ(Guard(""), "");
}

TEST_F(ContentGuard, AMessagesOwnGuardsAreDoubledAndComeBack) {
  for (const std::string& content : {kGuard, kGuard + kGuard, "a" + kGuard + "<|end|>",
                                     kGuard + kGuard + "<|end|>" + kGuard, std::string("\xEF\xB7")}) {
    const std::string guarded = Guard(content);
    EXPECT_EQ(RemoveGuards(guarded), content);
    const size_t at = guarded.find("<|end|>");
    if (at != std::string::npos) EXPECT_TRUE(IsGuarded(guarded, at)) << guarded;
  }
}

TEST_F(ContentGuard, ATemplatesTokenAfterAMessageIsNotGuarded) {
  const std::string rendered = Guard("hello" + kGuard) + "<|end|>";
  EXPECT_FALSE(IsGuarded(rendered, rendered.find("<|end|>")));
}

}  // namespace
}  // namespace conclave::tokenizer
