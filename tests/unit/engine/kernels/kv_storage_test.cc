#include "engine/kernels/kv_storage.h"

#include <cstring>
#include <random>
#include <vector>

#include "engine/kernels/half_rounding.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/kernels/random_data.h"

namespace conclave::engine {
namespace {

constexpr int64_t kHeadDim = 6;
constexpr int64_t kTokens = 32;

uint16_t NumberAt(const std::vector<std::byte>& block, int64_t index) {
  uint16_t number;
  std::memcpy(&number, block.data() + index * 2, 2);
  return number;
}

TEST(KvStorageTest, KeysHoldTwoNumbersOfATokenInAWord) {
  std::mt19937 random(1);
  const std::vector<float> keys = testing::RandomFloats(random, kTokens * kHeadDim);
  std::vector<std::byte> block(kTokens * kHeadDim * 2);
  for (int64_t token = 0; token < kTokens; ++token) {
    StoreKeyPairs(keys.data() + token * kHeadDim, kHeadDim, token, kTokens, block.data());
  }
  for (int64_t token = 0; token < kTokens; ++token) {
    for (int64_t i = 0; i < kHeadDim; ++i) {
      EXPECT_EQ(NumberAt(block, (i / 2 * kTokens + token) * 2 + i % 2),
                FloatToBrain(keys[token * kHeadDim + i]));
    }
  }
}

TEST(KvStorageTest, ValuesHoldTheSameNumberOfTwoTokensInAWord) {
  std::mt19937 random(2);
  const std::vector<float> values = testing::RandomFloats(random, kTokens * kHeadDim);
  std::vector<std::byte> block(kTokens * kHeadDim * 2);
  for (int64_t token = 0; token < kTokens; ++token) {
    StoreValuePairs(values.data() + token * kHeadDim, kHeadDim, token, block.data());
  }
  for (int64_t token = 0; token < kTokens; ++token) {
    for (int64_t i = 0; i < kHeadDim; ++i) {
      EXPECT_EQ(NumberAt(block, (token / 2 * kHeadDim + i) * 2 + token % 2),
                FloatToBrain(values[token * kHeadDim + i]));
    }
  }
}

TEST(KvStorageTest, OtherTokensStayAsTheyWere) {
  const std::vector<float> ones(kHeadDim, 1.0f);
  for (const bool value : {false, true}) {
    std::vector<std::byte> block(kTokens * kHeadDim * 2, std::byte{0x5A});
    if (value) {
      StoreValuePairs(ones.data(), kHeadDim, 7, block.data());
    } else {
      StoreKeyPairs(ones.data(), kHeadDim, 7, kTokens, block.data());
    }
    int64_t changed = 0;
    for (int64_t at = 0; at < kTokens * kHeadDim; ++at) changed += NumberAt(block, at) != 0x5A5A ? 1 : 0;
    EXPECT_EQ(changed, kHeadDim);
  }
}

}  // namespace
}  // namespace conclave::engine
