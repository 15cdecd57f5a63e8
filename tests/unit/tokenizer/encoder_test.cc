#include "services/tokenizer/encoder.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/tokenizer/limits.h"
#include "tests/unit/tokenizer/small_vocabulary.h"

namespace conclave::tokenizer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int32_t kEnd = 266;
constexpr int32_t kStart = 267;
constexpr int32_t kTool = 268;

std::unique_ptr<const Encoder> MakeEncoder(VocabularyParts parts) {
  auto encoder = Encoder::Create(MakeVocabulary(std::move(parts)));
  EXPECT_TRUE(encoder.ok()) << encoder.status().ToString();
  return encoder.ok() ? std::move(encoder).value() : nullptr;
}

std::vector<int32_t> Encode(const Encoder& encoder, std::string_view text,
                            const EncodeOptions& options = {}) {
  const auto ids = encoder.Encode(text, options);
  EXPECT_TRUE(ids.ok()) << ids.status().ToString();
  return ids.ok() ? *ids : std::vector<int32_t>();
}

TEST(Encoder, MergesWithinPieces) {
  const auto encoder = MakeEncoder(SmallParts(WordMerges()));
  EXPECT_THAT(Encode(*encoder, "hello world hello"), ElementsAre(259, 264, 265));
  EXPECT_THAT(Encode(*encoder, "hello world hello"), ElementsAre(259, 264, 265)) << "from the cache";
  EXPECT_THAT(Encode(*encoder, ""), ElementsAre());
}

TEST(Encoder, ParsesSpecialTokensOnlyWhenAsked) {
  const auto encoder = MakeEncoder(SmallParts(WordMerges()));
  EXPECT_THAT(Encode(*encoder, "<|start|>hello<|end|><tool>", {.parse_special = true}),
              ElementsAre(kStart, 259, kEnd, kTool));
  EXPECT_THAT(Encode(*encoder, "<|e<|end|>", {.parse_special = true}), ElementsAre('<', '|', 'e', kEnd));
  EXPECT_THAT(Encode(*encoder, "<|end|>"), ElementsAre('<', '|', 'e', 'n', 'd', '|', '>'));
}

TEST(Encoder, TakesTheLongestOfSpecialTokensThatBeginTogether) {
  VocabularyParts parts = SmallParts({});
  for (const char* text : {"<a", "<a>b", "a>"}) {
    parts.tokens.emplace_back(text);
    parts.types.push_back(3);
  }
  const auto encoder = MakeEncoder(std::move(parts));
  EXPECT_THAT(Encode(*encoder, "<a>b<a>", {.parse_special = true}), ElementsAre(260, 259, '>'));
}

TEST(Encoder, AddsTheBeginTokenWhereTheModelWantsIt) {
  VocabularyParts parts = SmallParts({});
  parts.begin_token_id = 257;
  EXPECT_THAT(Encode(*MakeEncoder(parts), "x", {.add_special = true}), ElementsAre('x'));
  parts.add_begin_token = true;
  EXPECT_THAT(Encode(*MakeEncoder(parts), "x", {.add_special = true}), ElementsAre(257, 'x'));
  EXPECT_THAT(Encode(*MakeEncoder(parts), "x"), ElementsAre('x'));
}

TEST(Encoder, IgnoresMergesWhereTheModelDoes) {
  VocabularyParts parts = SmallParts({"a b"});
  parts.tokens.emplace_back("abc");  // No merge makes it.
  parts.types.push_back(1);
  EXPECT_THAT(Encode(*MakeEncoder(parts), "abc"), ElementsAre(256, 'c'));
  parts.ignore_merges = true;
  EXPECT_THAT(Encode(*MakeEncoder(parts), "abc"), ElementsAre(260));
}

TEST(Encoder, NormalizesWhereTheModelDoes) {
  VocabularyParts parts = SmallParts({"Ã ©"});
  EXPECT_THAT(Encode(*MakeEncoder(parts), "e\u0301"), ElementsAre('e', 0xCC, 0x81));
  parts.normalize_nfc = true;
  EXPECT_THAT(Encode(*MakeEncoder(parts), "e\u0301"), ElementsAre(256));
}

TEST(Encoder, RefusesMarksThatWouldTakeQuadraticTime) {
  VocabularyParts parts = SmallParts({});
  parts.normalize_nfc = true;
  std::string text;
  for (size_t i = 0; i <= kMaxCombiningMarks; ++i) text += "\u0323";
  const auto ids = MakeEncoder(std::move(parts))->Encode(text, {});
  EXPECT_EQ(ids.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(ids.status().message(), HasSubstr("combining marks"));
}

TEST(Encoder, RefusesInvalidUtf8AndGiantTexts) {
  const auto encoder = MakeEncoder(SmallParts({}));
  const auto invalid = encoder->Encode("plain ascii text\xC3(", {});
  EXPECT_EQ(invalid.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(invalid.status().message(), HasSubstr("not valid UTF-8 at byte 16"));
  const auto giant = encoder->Encode(std::string(kMaxTextBytes + 1, ' '), {});
  EXPECT_EQ(giant.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(giant.status().message(), HasSubstr("16777217 bytes"));
}

TEST(Encoder, RefusesAnUnknownPreTokenizer) {
  VocabularyParts parts = SmallParts({});
  parts.pre_tokenizer = "klingon";
  EXPECT_EQ(Encoder::Create(MakeVocabulary(std::move(parts))).status().code(), StatusCode::kUnimplemented);
}

TEST(Encoder, ManyThreadsGetTheSameTokens) {
  const auto encoder = MakeEncoder(SmallParts(WordMerges()));
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "hello world " + std::to_string(i * 7919) + "\n";
  const std::vector<int32_t> expected = Encode(*encoder, text);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int thread = 0; thread < 12; ++thread) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5; ++round) {
        const auto ids = encoder->Encode(text, {});
        if (!ids.ok() || *ids != expected) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace conclave::tokenizer
