#include "services/retriever/posting_block.h"

#include <random>

#include <gtest/gtest.h>

#include "services/retriever/bm25.h"

namespace conclave::retriever {
namespace {

TEST(PostingBlock, SurvivesEncoding) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    PostingBlock block;
    for (uint16_t offset = 0; offset < kBlockChunks; ++offset) {
      if (random() % 4 == 0) block.push_back({offset, static_cast<uint32_t>(random() >> (random() % 32))});
    }
    const std::string bytes = EncodePostings(block);
    const auto decoded = DecodePostings(bytes);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(*decoded, block);
    EXPECT_EQ(CountPostings(bytes), block.size());
  }
}

TEST(PostingBlock, RefusesDamage) {
  const std::string good = EncodePostings({{3, 1}, {511, 4'000'000'000}});
  for (size_t cut = 0; cut < good.size(); ++cut) {
    EXPECT_EQ(DecodePostings(good.substr(0, cut)).status().code(), StatusCode::kDataLoss);
  }
  EXPECT_FALSE(DecodePostings(good + "x").ok());
  EXPECT_FALSE(DecodePostings(std::string("\x02\x01\x01\x00\x01", 5)).ok()) << "an offset twice";
  EXPECT_FALSE(DecodePostings("\xFF\xFF\xFF\xFF\xFF\xFF\xFF").ok());
  EXPECT_FALSE(DecodePostings(std::string("\x01\x80\x04\x01", 4)).ok()) << "offset 512";
}

TEST(PostingBlock, SetsAndErases) {
  PostingBlock block;
  for (const uint16_t offset : {5, 1, 9, 5}) SetPosting(block, {offset, uint32_t{offset} * 2});
  EXPECT_EQ(block, (PostingBlock{{1, 2}, {5, 10}, {9, 18}}));
  EXPECT_EQ(ErasePostings(block, 2, 9), 2u);
  EXPECT_EQ(ErasePostings(block, 2, 500), 0u);
  EXPECT_EQ(block, (PostingBlock{{1, 2}}));
}

TEST(Bm25, IsTheFormula) {
  const Bm25Params params;
  // By hand: N = 10, n = 3, tf = 2, |d| = 8, avg = 10.
  EXPECT_NEAR(Bm25Idf(10, 3), std::log(1 + 7.5 / 3.5), 1e-12);
  const double norm = Bm25Norm(params, 8, 10);
  EXPECT_NEAR(norm, 1.2 * (0.25 + 0.75 * 0.8), 1e-12);
  EXPECT_NEAR(Bm25Term(Bm25Idf(10, 3), 2, norm), std::log(1 + 7.5 / 3.5) * 2 / (2 + norm), 1e-12);
  EXPECT_GT(Bm25Idf(10, 10), 0) << "a term that every passage has still counts a little";
}

}  // namespace
}  // namespace conclave::retriever
