#include "engine/cache/prefix_cache.h"

#include <memory>
#include <random>

#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

using Tokens = std::vector<int32_t>;

constexpr KvLayout kLayout{.layers = 1, .kv_heads = 1, .head_dim = 16};

class PrefixCacheTest : public ::testing::Test {
 protected:
  PrefixCacheTest() { Restart(16, 16); }

  void Restart(int64_t pool_blocks, int64_t cache_blocks) {
    cache_.reset();
    pool_ = *KvPool::Create(kLayout, pool_blocks * kLayout.block_bytes());
    cache_ = std::make_unique<PrefixCache>(*pool_, cache_blocks * kLayout.block_bytes());
  }

  static Tokens Text(int64_t count, int32_t first = 0) {
    Tokens text(count, 7);
    text[0] = first;
    return text;
  }

  /// A sequence that computed `text` and ended.
  void Compute(std::string_view salt, const Tokens& text) {
    KvSequence sequence(*pool_);
    ASSERT_TRUE(cache_->MakeRoom(KvBlocksFor(static_cast<int64_t>(text.size()))));
    ASSERT_TRUE(sequence.Reserve(static_cast<int64_t>(text.size())).ok());
    cache_->Insert(salt, text, sequence.blocks());
  }

  /// How many tokens are cached.
  int64_t Cached(std::string_view salt, const Tokens& text) {
    KvSequence sequence(*pool_);
    sequence.Adopt(cache_->Match(salt, text));
    return sequence.length();
  }

  std::unique_ptr<KvPool> pool_;
  std::unique_ptr<PrefixCache> cache_;
};

TEST_F(PrefixCacheTest, KnowsWholeBlocksAndLeavesTheLastToken) {
  Compute("a", Text(100));
  EXPECT_EQ(cache_->nodes(), 3);
  EXPECT_EQ(pool_->used_bytes(), cache_->used_bytes());
  EXPECT_EQ(Cached("a", Text(200)), 96);
  EXPECT_EQ(Cached("a", Text(97)), 96);
  EXPECT_EQ(Cached("a", Text(96)), 64) << "the last token is to be computed";
  EXPECT_EQ(Cached("a", Text(32)), 0);
  EXPECT_EQ(Cached("a", {}), 0);
  Tokens other = Text(100);
  other[40] = 8;
  EXPECT_EQ(Cached("a", other), 32);
  EXPECT_EQ(Cached("a", Text(100, 1)), 0);
}

TEST_F(PrefixCacheTest, SaltsShareNothing) {
  Compute("a", Text(100));
  EXPECT_EQ(Cached("b", Text(100)), 0);
  EXPECT_EQ(Cached("", Text(100)), 0);
  Compute("b", Text(100));
  EXPECT_EQ(cache_->nodes(), 6);
  EXPECT_EQ(cache_->salts(), 2);
  const auto a = cache_->Match("a", Text(100)), b = cache_->Match("b", Text(100));
  for (const int32_t block : a) EXPECT_EQ(std::count(b.begin(), b.end(), block), 0);
  for (const auto& blocks : {a, b}) {
    for (const int32_t block : blocks) pool_->Drop(block);
  }
}

TEST_F(PrefixCacheTest, BranchesShareTheirBeginning) {
  Tokens left = Text(96), right = Text(96);
  left[70] = 1;
  right[70] = 2;
  Compute("a", left);
  Compute("a", right);
  EXPECT_EQ(cache_->nodes(), 4);
  EXPECT_EQ(pool_->used_bytes(), cache_->used_bytes()) << "the second copy of the beginning is free";
}

TEST_F(PrefixCacheTest, OldestGoesFirstAndLeavesBeforeWhatTheyContinue) {
  Restart(16, 4);
  Compute("a", Text(64, 1));
  Compute("b", Text(64, 2));
  EXPECT_EQ(Cached("a", Text(65, 1)), 64);  // Used again: now "b" is the oldest.
  Compute("c", Text(32, 3));
  EXPECT_EQ(Cached("b", Text(65, 2)), 32);
  EXPECT_EQ(Cached("a", Text(65, 1)), 64);
  EXPECT_EQ(cache_->evictions(), 1);
  EXPECT_EQ(cache_->nodes(), 4);
}

TEST_F(PrefixCacheTest, TextLongerThanTheCacheKeepsItsBeginning) {
  Restart(16, 3);
  Compute("a", Text(64, 1));
  Compute("a", Text(320, 2));
  EXPECT_EQ(cache_->nodes(), 3);
  EXPECT_EQ(cache_->salts(), 1);
  EXPECT_EQ(Cached("a", Text(320, 2)), 96);
  EXPECT_EQ(pool_->used_bytes(), 3 * kLayout.block_bytes());
}

TEST_F(PrefixCacheTest, WithoutRoomForABlockItStaysEmpty) {
  for (const int64_t blocks : {0, -5}) {
    Restart(16, blocks);
    Compute("a", Text(64));
    EXPECT_EQ(cache_->nodes(), 0);
    EXPECT_EQ(pool_->used_bytes(), 0);
  }
}

TEST_F(PrefixCacheTest, MakesRoomButNeverTakesWhatASequenceUses) {
  Restart(6, 6);
  Compute("a", Text(96, 1));
  Compute("a", Text(96, 2));
  EXPECT_EQ(pool_->free_blocks(), 0);
  KvSequence running(*pool_);
  running.Adopt(cache_->Match("a", Text(70, 1)));
  EXPECT_EQ(running.length(), 64);
  EXPECT_FALSE(cache_->MakeRoom(5));
  EXPECT_EQ(cache_->evictions(), 0) << "nothing is evicted in vain";
  EXPECT_TRUE(cache_->MakeRoom(4));
  EXPECT_EQ(pool_->free_blocks(), 4);
  EXPECT_EQ(Cached("a", Text(96, 1)), 64);
  EXPECT_EQ(Cached("a", Text(96, 2)), 0);
}

TEST_F(PrefixCacheTest, WhatAUsedBlockContinuesStaysThoughNobodyUsesIt) {
  Compute("a", Text(96));
  KvSequence beside(*pool_);  // It computed the same text in blocks of its own, and goes on.
  ASSERT_TRUE(beside.Reserve(128).ok());
  cache_->Insert("a", Text(128), beside.blocks());
  ASSERT_EQ(cache_->nodes(), 4);
  Compute("b", Text(64, 1));
  const int64_t free = pool_->free_blocks();
  EXPECT_FALSE(cache_->MakeRoom(free + 3)) << "only those of b may go";
  EXPECT_EQ(cache_->nodes(), 6);
  EXPECT_TRUE(cache_->MakeRoom(free + 2));
  EXPECT_EQ(Cached("a", Text(200)), 128);
  beside.Clear();
  EXPECT_TRUE(cache_->MakeRoom(pool_->total_blocks()));
  EXPECT_EQ(cache_->nodes(), 0);
}

TEST_F(PrefixCacheTest, GivesItsBlocksBackAtTheEnd) {
  Compute("a", Text(96));
  cache_.reset();
  EXPECT_EQ(pool_->free_blocks(), pool_->total_blocks());
}

/// Against a record of who computed what: a match's blocks hold exactly the tokens that were asked for.
TEST_F(PrefixCacheTest, RandomTextsMatchOnlyWhatTheirOwnSaltComputed) {
  Restart(24, 12);
  std::mt19937 random(20250807);
  std::vector<std::pair<std::string, Tokens>> written(24);  // by block: the salt, and the text up to its end
  for (int round = 0; round < 20'000; ++round) {
    const std::string salt(1, static_cast<char>('a' + random() % 3));
    Tokens text(1 + random() % 200);
    for (size_t i = 0; i < text.size(); ++i) text[i] = i % 32 == 0 ? static_cast<int32_t>(random() % 2) : 7;
    KvSequence sequence(*pool_);
    sequence.Adopt(cache_->Match(salt, text));
    const int64_t cached = sequence.length();
    ASSERT_LT(cached, static_cast<int64_t>(text.size()));
    for (int64_t end = 32; end <= cached; end += 32) {
      const auto& [writer, tokens] = written[sequence.blocks()[end / 32 - 1]];
      ASSERT_EQ(writer, salt);
      ASSERT_EQ(tokens, Tokens(text.begin(), text.begin() + end));
    }
    const auto length = static_cast<int64_t>(text.size());
    ASSERT_TRUE(cache_->MakeRoom(KvBlocksFor(length) - cached / 32));
    ASSERT_TRUE(sequence.Reserve(length).ok());
    for (int64_t end = cached + 32; end <= length; end += 32) {
      ASSERT_EQ(pool_->references(sequence.blocks()[end / 32 - 1]), 1) << "a shared block is written";
      written[sequence.blocks()[end / 32 - 1]] = {salt, Tokens(text.begin(), text.begin() + end)};
    }
    if (random() % 8 != 0) cache_->Insert(salt, text, sequence.blocks());
    ASSERT_LE(cache_->nodes(), cache_->most_nodes());
    ASSERT_LE(cache_->salts(), cache_->nodes());
  }
  EXPECT_GT(cache_->evictions(), 1000);
  EXPECT_EQ(pool_->used_bytes(), cache_->used_bytes());
}

}  // namespace
}  // namespace conclave::engine
