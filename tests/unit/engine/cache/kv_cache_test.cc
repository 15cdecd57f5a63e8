#include "engine/cache/kv_cache.h"

#include <set>
#include <utility>

#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

constexpr KvLayout kLayout{.layers = 3, .kv_heads = 2, .head_dim = 16};

std::unique_ptr<KvPool> Pool(int64_t blocks) {
  auto pool = KvPool::Create(kLayout, blocks * kLayout.block_bytes());
  EXPECT_TRUE(pool.ok());
  return *std::move(pool);
}

TEST(KvLayoutTest, PartsOfABlockFollowEachOtherWithoutGapOrOverlap) {
  for (const auto& [format, token_bytes] :
       {std::pair{KvFormat::kFloat32, 64}, {KvFormat::kBrainPairs, 32}, {KvFormat::kInt8, 20}}) {
    KvLayout layout = kLayout;
    layout.format = format;
    int64_t expected = 0;
    for (int64_t layer = 0; layer < layout.layers; ++layer) {
      for (const bool values : {false, true}) {
        EXPECT_EQ(layout.Offset(layer, values), expected);
        expected += layout.kv_heads * layout.head_bytes(values);
      }
    }
    EXPECT_EQ(layout.block_bytes(), expected);
    EXPECT_EQ(layout.block_bytes(), 3 * 2 * 2 * 32 * token_bytes);
    layout.value_dim = 8;
    EXPECT_EQ(layout.Offset(1, true) - layout.Offset(1, false), 2 * 32 * token_bytes);
    EXPECT_EQ(layout.Offset(2, false) - layout.Offset(1, true), 2 * layout.head_bytes(true));
    EXPECT_LT(layout.head_bytes(true), layout.head_bytes(false));
    EXPECT_EQ(layout.block_bytes(), 3 * 2 * (layout.head_bytes(true) + layout.head_bytes(false)));
  }
}

Result<KvLayout> LayoutFor(int64_t head_dim, std::optional<KvFormat> wanted, KvFormat natural) {
  Architecture architecture;
  architecture.head_dim = head_dim;
  return KvLayout::For(architecture, wanted, natural);
}

/// Not a key and a value for each head, but the latent as both, and one rotated key.
TEST(KvLayoutTest, LatentAttentionKeepsLatents) {
  Architecture architecture;
  architecture.layers = 3;
  architecture.query_heads = 128;
  architecture.kv_heads = 1;
  architecture.head_dim = 192;
  architecture.rope_dims = 64;
  architecture.latent = {.kv_rank = 512, .query_rank = 0, .value_dim = 128};
  const KvLayout layout = *KvLayout::For(architecture, std::nullopt, KvFormat::kBrainPairs);
  EXPECT_EQ(layout.head_dim, 576);
  EXPECT_EQ(layout.value_dim, 512);
  EXPECT_EQ(layout.format, KvFormat::kFloat32);
  EXPECT_EQ(layout.block_bytes() / kKvBlockTokens, 3 * (576 + 512) * 4);
  const Status status = KvLayout::For(architecture, KvFormat::kInt8, KvFormat::kBrainPairs).status();
  EXPECT_NE(status.message().find("576 and 512"), std::string::npos) << status.message();
  architecture.latent.kv_rank = 128;
  EXPECT_EQ(KvLayout::For(architecture, KvFormat::kInt8, KvFormat::kBrainPairs)->format, KvFormat::kInt8);
}

TEST(KvLayoutTest, TakesFloat32WhereNobodyWantsAFormatAndHeadsDoNotFit) {
  const auto format = [](int64_t head_dim, KvFormat natural) {
    return LayoutFor(head_dim, std::nullopt, natural)->format;
  };
  EXPECT_EQ(format(64, KvFormat::kBrainPairs), KvFormat::kBrainPairs);
  EXPECT_EQ(format(17, KvFormat::kBrainPairs), KvFormat::kFloat32);
  EXPECT_EQ(format(320, KvFormat::kBrainPairs), KvFormat::kFloat32);
  EXPECT_EQ(format(64, KvFormat::kFloat32), KvFormat::kFloat32);
}

TEST(KvLayoutTest, TakesWhatIsWantedOrSaysWhyNot) {
  for (const int64_t head_dim : {4, 64, 256}) {
    EXPECT_EQ(LayoutFor(head_dim, KvFormat::kInt8, KvFormat::kBrainPairs)->format, KvFormat::kInt8);
  }
  for (const int64_t head_dim : {6, 17, 320}) {
    const Status status = LayoutFor(head_dim, KvFormat::kInt8, KvFormat::kBrainPairs).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("int8"), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(std::to_string(head_dim)), std::string::npos) << status.message();
  }
}

TEST(KvLayoutTest, BlocksForTokens) {
  EXPECT_EQ(KvBlocksFor(0), 0);
  EXPECT_EQ(KvBlocksFor(1), 1);
  EXPECT_EQ(KvBlocksFor(32), 1);
  EXPECT_EQ(KvBlocksFor(33), 2);
}

TEST(KvPoolTest, HoldsWholeBlocksOnly) {
  auto pool = KvPool::Create(kLayout, 3 * kLayout.block_bytes() - 1);
  ASSERT_TRUE(pool.ok());
  EXPECT_EQ((*pool)->total_blocks(), 2);
  EXPECT_EQ((*pool)->total_bytes(), 2 * kLayout.block_bytes());
  for (const int64_t bytes : {int64_t{-1}, int64_t{0}, kLayout.block_bytes() - 1}) {
    EXPECT_EQ(KvPool::Create(kLayout, bytes).status().code(), StatusCode::kInvalidArgument) << bytes;
  }
  EXPECT_EQ(KvPool::Create(kLayout, INT64_MAX / 2).status().code(), StatusCode::kResourceExhausted);
}

TEST(KvPoolTest, GivesEachBlockOnceUntilItComesBack) {
  const auto pool = Pool(4);
  std::set<int32_t> taken;
  for (int i = 0; i < 4; ++i) taken.insert(pool->Take());
  EXPECT_EQ(taken, (std::set<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(pool->Take(), -1);
  EXPECT_EQ(pool->used_bytes(), pool->total_bytes());
  pool->Drop(2);
  EXPECT_EQ(pool->Take(), 2);
}

TEST(KvPoolTest, SharedBlockIsFreeWhenTheLastOneDropsIt) {
  const auto pool = Pool(1);
  const int32_t block = pool->Take();
  pool->Share(block);
  pool->Drop(block);
  EXPECT_EQ(pool->free_blocks(), 0);
  pool->Drop(block);
  EXPECT_EQ(pool->free_blocks(), 1);
}

TEST(KvPoolTest, BlocksAreApartAndWritable) {
  const auto pool = Pool(3);
  for (int32_t block = 0; block < 3; ++block) {
    std::fill_n(pool->Block(block), kLayout.block_bytes(), static_cast<std::byte>(block + 1));
  }
  for (int32_t block = 0; block < 3; ++block) {
    EXPECT_EQ(pool->Block(block)[0], static_cast<std::byte>(block + 1));
    EXPECT_EQ(pool->Block(block)[kLayout.block_bytes() - 1], static_cast<std::byte>(block + 1));
  }
}

TEST(KvSequenceTest, GrowsByBlocksAndGivesThemBack) {
  const auto pool = Pool(4);
  {
    KvSequence sequence(*pool);
    ASSERT_TRUE(sequence.Reserve(33).ok());
    EXPECT_EQ(sequence.capacity(), 64);
    ASSERT_TRUE(sequence.Reserve(10).ok());
    EXPECT_EQ(sequence.capacity(), 64) << "it never shrinks";
    ASSERT_TRUE(sequence.Reserve(65).ok());
    EXPECT_EQ(pool->free_blocks(), 1);
    EXPECT_EQ(sequence.length(), 0);
    sequence.Advance(5);
    EXPECT_EQ(sequence.length(), 5);
  }
  EXPECT_EQ(pool->free_blocks(), 4);
}

TEST(KvSequenceTest, ReserveThatFailsChangesNothing) {
  const auto pool = Pool(3);
  KvSequence first(*pool), second(*pool);
  ASSERT_TRUE(first.Reserve(64).ok());
  ASSERT_TRUE(second.Reserve(32).ok());
  EXPECT_EQ(second.Reserve(33).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(second.capacity(), 32);
  first.Clear();
  EXPECT_EQ(first.length(), 0);
  EXPECT_TRUE(second.Reserve(96).ok());
}

TEST(KvSequenceTest, MovedSequenceOwnsItsBlocksOnce) {
  const auto pool = Pool(2);
  KvSequence first(*pool);
  ASSERT_TRUE(first.Reserve(40).ok());
  first.Advance(3);
  {
    const KvSequence second(std::move(first));
    EXPECT_EQ(second.length(), 3);
    EXPECT_EQ(second.blocks().size(), 2u);
    EXPECT_EQ(pool->free_blocks(), 0);
  }
  EXPECT_EQ(pool->free_blocks(), 2);
}

TEST(KvSequenceTest, ForkSharesWholeBlocksAndCopiesTheLastOne) {
  for (const int64_t tokens : {32, 40, 64, 70}) {
    const auto pool = Pool(12);
    const int64_t whole = tokens / kKvBlockTokens;
    {
      KvSequence first(*pool);
      ASSERT_TRUE(first.Reserve(tokens + 5).ok());
      first.Advance(tokens);
      for (const int32_t block : first.blocks()) *pool->Block(block) = static_cast<std::byte>(17 + block);
      KvSequence fork(*pool);
      ASSERT_TRUE(fork.Reserve(40).ok());
      const int32_t own = fork.blocks()[0];
      fork.Fork(first);
      EXPECT_EQ(fork.length(), tokens);
      EXPECT_EQ(fork.capacity(), (whole + 2) * kKvBlockTokens);
      for (int64_t i = 0; i < whole; ++i) {
        EXPECT_EQ(fork.blocks()[i], first.blocks()[i]);
        EXPECT_EQ(pool->references(fork.blocks()[i]), 2);
      }
      EXPECT_EQ(fork.blocks()[whole], own);
      if (tokens % kKvBlockTokens > 0) {
        EXPECT_EQ(*pool->Block(own), *pool->Block(first.blocks()[whole]));
      }
      first.Clear();
      EXPECT_EQ(pool->references(fork.blocks()[0]), 1) << "what is shared outlives the one it came from";
    }
    EXPECT_EQ(pool->free_blocks(), pool->total_blocks());
  }
}

TEST(KvSequenceTest, FollowSharesWholeBlocksCopiesTheLastAndTakesNone) {
  for (const int64_t longer : {0, 10, 24, 31, 60}) {
    const auto pool = Pool(12);
    {
      KvSequence first(*pool);
      KvSequence second(*pool);
      ASSERT_TRUE(first.Reserve(120).ok());
      ASSERT_TRUE(second.Reserve(120).ok());
      first.Advance(40 + longer);
      second.Advance(40);
      for (const int32_t block : first.blocks()) *pool->Block(block) = static_cast<std::byte>(17 + block);
      const std::vector<int32_t> own = second.blocks();
      const int64_t whole = first.length() / kKvBlockTokens;
      for (const int times : {1, 2}) {
        second.Follow(first);
        EXPECT_EQ(second.length(), 40 + longer);
        EXPECT_EQ(second.capacity(), first.capacity());
        EXPECT_EQ(pool->free_blocks(), 4 + whole) << times;
        for (int64_t i = 0; i < whole; ++i) EXPECT_EQ(second.blocks()[i], first.blocks()[i]);
        for (int64_t i = whole; i < 4; ++i) EXPECT_EQ(second.blocks()[i], own[i]);
        if (first.length() % kKvBlockTokens > 0) {
          EXPECT_EQ(*pool->Block(own[whole]), *pool->Block(first.blocks()[whole]));
        }
      }
    }
    EXPECT_EQ(pool->free_blocks(), pool->total_blocks());
  }
}

TEST(KvSequenceTest, SwapExchangesRoomAndTokens) {
  const auto pool = Pool(4);
  KvSequence long_one(*pool);
  KvSequence short_one(*pool);
  ASSERT_TRUE(long_one.Reserve(96).ok());
  ASSERT_TRUE(short_one.Reserve(1).ok());
  long_one.Advance(50);
  short_one.Swap(long_one);
  EXPECT_EQ(short_one.length(), 50);
  EXPECT_EQ(short_one.capacity(), 96);
  EXPECT_EQ(long_one.length(), 0);
  EXPECT_EQ(long_one.capacity(), 32);
}

}  // namespace
}  // namespace conclave::engine
