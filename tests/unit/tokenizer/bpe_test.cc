#include "services/tokenizer/bpe.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/tokenizer/limits.h"
#include "tests/unit/tokenizer/small_vocabulary.h"

namespace conclave::tokenizer {
namespace {

/// The specification: merge the best pair, look at everything again.
std::vector<int32_t> MergeSlowly(const Vocabulary& vocabulary, std::string_view piece) {
  std::vector<int32_t> ids;
  for (const char byte : piece) ids.push_back(vocabulary.ByteToken(static_cast<uint8_t>(byte)));
  std::erase(ids, -1);
  while (true) {
    size_t best = ids.size();
    PairMerge best_merge;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const PairMerge merge = vocabulary.FindMerge(ids[i], ids[i + 1]);
      if (merge.rank < best_merge.rank) {
        best = i;
        best_merge = merge;
      }
    }
    if (best == ids.size()) return ids;
    ids[best] = best_merge.token_id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

/// Random merges over the letters a, b and c, each of two tokens that exist when it is added.
VocabularyParts RandomParts(std::mt19937& random, int merges) {
  std::vector<std::string> tokens = {"a", "b", "c"};
  std::vector<std::string> pairs;
  const auto pick = [&] { return tokens[random() % tokens.size()]; };
  while (static_cast<int>(pairs.size()) < merges) {
    const std::string left = pick();
    const std::string right = pick();
    const bool known = std::find(tokens.begin(), tokens.end(), left + right) != tokens.end();
    if (known || left.size() + right.size() > 12) continue;
    tokens.push_back(left + right);
    pairs.push_back(left + " " + right);
  }
  std::shuffle(pairs.begin(), pairs.end(), random);
  return SmallParts(pairs);
}

TEST(BpeMerger, MergesByRankThenFromTheLeft) {
  const auto vocabulary = MakeVocabulary(SmallParts({"a a", "a b"}));
  BpeMerger merger;
  std::vector<int32_t> ids;
  merger.Merge(*vocabulary, "aaab", &ids);
  EXPECT_THAT(ids, testing::ElementsAre(256, 257));
  ids.clear();
  merger.Merge(*vocabulary, "aaa", &ids);
  EXPECT_THAT(ids, testing::ElementsAre(256, 'a'));
}

TEST(BpeMerger, EqualsTheSlowWayOnRandomVocabularies) {
  std::mt19937 random(11);
  BpeMerger merger;
  for (int round = 0; round < 300; ++round) {
    const auto vocabulary = MakeVocabulary(RandomParts(random, 1 + static_cast<int>(random() % 60)));
    for (int length : {1, 2, 7, 24, 25, 80, 200}) {
      std::string piece;
      for (int i = 0; i < length; ++i) piece.push_back(static_cast<char>('a' + random() % 3));
      std::vector<int32_t> ids;
      merger.Merge(*vocabulary, piece, &ids);
      ASSERT_EQ(ids, MergeSlowly(*vocabulary, piece)) << "round " << round << " " << piece;
    }
  }
}

TEST(BpeMerger, LeavesBytesWithoutATokenOut) {
  VocabularyParts parts = SmallParts({"a b"});
  parts.tokens[4] = "unrelated";
  const auto vocabulary = MakeVocabulary(std::move(parts));
  BpeMerger merger;
  std::vector<int32_t> ids;
  merger.Merge(*vocabulary,
               "a\x04"
               "b\x04",
               &ids);
  EXPECT_THAT(ids, testing::ElementsAre(256));
  ids.clear();
  merger.Merge(*vocabulary, std::string(100, '\x04'), &ids);
  EXPECT_THAT(ids, testing::IsEmpty());
}

TEST(BpeMerger, KeepsNoMemoryOfAnEnormousPiece) {
  const auto vocabulary = MakeVocabulary(SmallParts({"a a"}));
  BpeMerger merger;
  std::vector<int32_t> ids;
  merger.Merge(*vocabulary, std::string(100, 'a'), &ids);
  EXPECT_GT(merger.kept_bytes(), 0u);
  merger.Merge(*vocabulary, std::string(kLargePieceBytes + 1, 'a'), &ids);
  EXPECT_EQ(merger.kept_bytes(), 0u);
}

TEST(BpeMerger, WorkGrowsWithTheLengthAlone) {
  std::vector<std::string> merges = {"a a"};
  for (std::string token = "aa"; token.size() < 1024; token += token) merges.push_back(token + " " + token);
  const auto vocabulary = MakeVocabulary(SmallParts(merges));
  const size_t length = 200'000;
  for (const std::string& unit : {"a", "aab", "ab", "aaaaaaaaaaaaaaab"}) {
    std::string piece;
    while (piece.size() < length) piece += unit;
    BpeMerger merger;
    std::vector<int32_t> ids;
    merger.Merge(*vocabulary, piece, &ids);
    EXPECT_LE(merger.work().heap_pushes, 3 * piece.size()) << unit;
    EXPECT_LE(merger.work().pair_lookups, 6 * piece.size()) << unit;
  }
}

}  // namespace
}  // namespace conclave::tokenizer
