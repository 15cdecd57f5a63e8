#include "services/tokenizer/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/tokenizer/limits.h"
#include "tests/unit/tokenizer/small_vocabulary.h"

namespace conclave::tokenizer {
namespace {

using testing::HasSubstr;

/// The message of the refusal; the test fails when there is none, or it is not INVALID_ARGUMENT.
std::string Refusal(VocabularyParts parts) {
  const auto vocabulary = Vocabulary::Create(std::move(parts));
  EXPECT_EQ(vocabulary.status().code(), StatusCode::kInvalidArgument);
  return vocabulary.status().message();
}

TEST(Vocabulary, FindsTokensMergesAndBytes) {
  const auto vocabulary = MakeVocabulary(SmallParts(WordMerges()));
  ASSERT_NE(vocabulary, nullptr);
  EXPECT_EQ(vocabulary->size(), 256 + 10 + 3);
  EXPECT_EQ(vocabulary->Find("Ġworld"), 264);
  EXPECT_EQ(vocabulary->table()->Bytes(264), " world");
  EXPECT_EQ(vocabulary->Find("world"), std::nullopt);
  EXPECT_EQ(vocabulary->ByteToken(0xFF), 0xFF);
  EXPECT_EQ(vocabulary->FindMerge('h', 'e').token_id, 256);
  EXPECT_EQ(vocabulary->FindMerge('h', 'e').rank, 0u);
  EXPECT_EQ(vocabulary->FindMerge('e', 'h').rank, PairMerge::kNone);
}

TEST(Vocabulary, SpecialTokensAreTheirOwnText) {
  VocabularyParts parts = SmallParts({});
  parts.tokens.emplace_back("Ġ");
  parts.tokens.back() = "ĠĠ";  // A control token may look like spelled bytes.
  parts.types.push_back(3);
  const auto vocabulary = MakeVocabulary(std::move(parts));
  ASSERT_NE(vocabulary, nullptr);
  EXPECT_EQ(vocabulary->table()->Bytes(vocabulary->size() - 1), "ĠĠ");
  EXPECT_TRUE(vocabulary->IsSpecial(256));
  EXPECT_FALSE(vocabulary->IsSpecial(258));  // User-defined: text.
}

TEST(Vocabulary, KnowsTheTokensThatEndATurn) {
  VocabularyParts parts = SmallParts({});
  parts.end_token_ids = {5, 256, 5};
  const auto vocabulary = MakeVocabulary(std::move(parts));
  ASSERT_NE(vocabulary, nullptr);
  EXPECT_THAT(vocabulary->end_token_ids(), testing::ElementsAre(5, 256));
}

TEST(Vocabulary, BytesWithoutATokenAreKnown) {
  VocabularyParts parts = SmallParts({});
  parts.tokens[4] = "unrelated";
  const auto vocabulary = MakeVocabulary(std::move(parts));
  ASSERT_NE(vocabulary, nullptr);
  EXPECT_EQ(vocabulary->ByteToken(4), -1);
}

TEST(Vocabulary, RefusesHostileTokens) {
  VocabularyParts parts = SmallParts({});
  parts.tokens[7] = parts.tokens[3];
  EXPECT_THAT(Refusal(parts), HasSubstr("token 7 'ă' is token 3 too"));
  parts.tokens[7] = "";
  EXPECT_THAT(Refusal(parts), HasSubstr("token 7 is empty"));
  parts.tokens[7] = std::string(kMaxTokenBytes + 1, 'a');
  EXPECT_THAT(Refusal(parts), HasSubstr("token 7 has 2049 bytes"));
  parts.tokens[7] = "\xC3";
  EXPECT_THAT(Refusal(parts), HasSubstr("token 7 is not valid UTF-8"));
  EXPECT_THAT(Refusal({}), HasSubstr("no tokens"));
  VocabularyParts many;
  many.tokens.assign(kMaxVocabularyTokens + 1, "a");
  EXPECT_THAT(Refusal(std::move(many)), HasSubstr("1048577 tokens"));
}

TEST(Vocabulary, RefusesHostileTypes) {
  VocabularyParts parts = SmallParts({});
  parts.types[9] = 7;
  EXPECT_THAT(Refusal(parts), HasSubstr("token 9 has the type 7"));
  parts.types[9] = -1;
  EXPECT_THAT(Refusal(parts), HasSubstr("token 9 has the type -1"));
  parts.types.pop_back();
  EXPECT_THAT(Refusal(parts), HasSubstr("258 token types"));
}

TEST(Vocabulary, RefusesHostileMerges) {
  const auto refusal = [](const std::string& merge) {
    VocabularyParts parts = SmallParts({"a b"});
    parts.merges = {"a b", merge};
    return Refusal(std::move(parts));
  };
  EXPECT_THAT(refusal("a nowhere"), HasSubstr("merge 1 'a nowhere' names 'nowhere', which is no token"));
  EXPECT_THAT(refusal("nowhere a"), HasSubstr("names 'nowhere', which is no token"));
  EXPECT_THAT(refusal("a c"), HasSubstr("makes what is no token"));
  EXPECT_THAT(refusal("a b"), HasSubstr("is merge 0 too"));
  EXPECT_THAT(refusal("ab"), HasSubstr("does not name two tokens"));
  EXPECT_THAT(refusal("a "), HasSubstr("does not name two tokens"));
  EXPECT_THAT(refusal(""), HasSubstr("does not name two tokens"));
  EXPECT_THAT(refusal("\xFF" + std::string(100000, 'x')), HasSubstr("longer than two tokens can be"));
}

TEST(Vocabulary, RefusesIdsOutOfRange) {
  VocabularyParts parts = SmallParts({});
  parts.begin_token_id = 259;
  EXPECT_THAT(Refusal(parts), HasSubstr("begin token is 259, but the ids are 0 to 258"));
  parts.begin_token_id = -1;
  EXPECT_THAT(Refusal(parts), HasSubstr("begin token is -1"));
  parts.begin_token_id = 0;
  parts.end_token_ids = {int64_t{1} << 32};
  EXPECT_THAT(Refusal(parts), HasSubstr("end token is 4294967296"));
  parts.end_token_ids.assign(kMaxEndTokens + 1, 1);
  EXPECT_THAT(Refusal(parts), HasSubstr("more than 64 end tokens"));
}

}  // namespace
}  // namespace conclave::tokenizer
