#include "engine/kernels/kv_storage.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "engine/kernels/half_rounding.h"
#include "engine/kernels/kernels.h"
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

/// Rows with every scale, some of which no float32 has or no number.
std::vector<std::vector<float>> RowsToQuantise(int64_t numbers) {
  std::mt19937 random(3);
  std::vector<std::vector<float>> rows;
  for (const float width : {1.0f, 1e-3f, 1e30f, 1e-37f, 1e-42f, 0.0f}) {
    rows.push_back(testing::RandomFloats(random, numbers));
    for (float& x : rows.back()) x *= width;
  }
  for (const float x : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    rows.push_back(testing::RandomFloats(random, numbers));
    rows.back()[static_cast<size_t>(numbers) - 1] = x;
  }
  rows.emplace_back(numbers, -2.0f);
  return rows;
}

TEST(QuantiseHeadTest, AllSetsGiveTheBitsOfTheReference) {
  for (const int64_t numbers : {4, 20, 64, 100, 256}) {
    for (const std::vector<float>& row : RowsToQuantise(numbers)) {
      int8_t wanted[kQuantisedHeadRoom];
      const float scale = ReferenceKernels().quantise_head(row.data(), numbers, wanted);
      for (const Kernels* kernels : AvailableKernels()) {
        int8_t got[kQuantisedHeadRoom];
        const float got_scale = kernels->quantise_head(row.data(), numbers, got);
        EXPECT_TRUE(got_scale == scale || (std::isnan(got_scale) && std::isnan(scale))) << kernels->name;
        EXPECT_TRUE(std::equal(got, got + numbers, wanted)) << kernels->name << ", " << numbers;
      }
    }
  }
}

TEST(QuantiseHeadTest, NumbersAreWithinHalfAUnit) {
  std::mt19937 random(4);
  const std::vector<float> row = testing::RandomFloats(random, 64);
  int8_t numbers[kQuantisedHeadRoom];
  const float scale = BestKernels().quantise_head(row.data(), 64, numbers);
  int largest = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    EXPECT_NEAR(row[i], static_cast<float>(numbers[i]) * scale, scale * 0.5001f);
    largest = std::max(largest, std::abs(int{numbers[i]}));
  }
  EXPECT_EQ(largest, 127);
}

constexpr int64_t kWidth = 8;
constexpr int64_t kInt8Bytes = kTokens * (kWidth + 4);

TEST(KvStorageTest, BytesLieInWordsOfFourWithTheirScaleBehind) {
  std::mt19937 random(5);
  const std::vector<float> rows = testing::RandomFloats(random, kTokens * kWidth);
  std::vector<std::byte> keys(kInt8Bytes), values(kInt8Bytes);
  ASSERT_EQ(KvHeadBytes(KvFormat::kInt8, kWidth, kTokens), kInt8Bytes);
  for (int64_t token = 0; token < kTokens; ++token) {
    StoreKeyBytes(rows.data() + token * kWidth, kWidth, token, kTokens, keys.data());
    StoreValueBytes(rows.data() + token * kWidth, kWidth, token, kTokens, values.data());
  }
  for (int64_t token = 0; token < kTokens; ++token) {
    int8_t numbers[kQuantisedHeadRoom];
    const float scale = BestKernels().quantise_head(rows.data() + token * kWidth, kWidth, numbers);
    for (const auto& block : {keys, values}) {
      float stored;
      std::memcpy(&stored, block.data() + kTokens * kWidth + token * 4, 4);
      EXPECT_EQ(stored, scale);
    }
    for (int64_t i = 0; i < kWidth; ++i) {
      EXPECT_EQ(static_cast<int8_t>(keys[(i / 4 * kTokens + token) * 4 + i % 4]), numbers[i]);
      EXPECT_EQ(static_cast<int8_t>(values[(token / 4 * kWidth + i) * 4 + token % 4]), numbers[i]);
    }
  }
}

TEST(KvStorageTest, BytesOfOtherTokensStayAsTheyWere) {
  const std::vector<float> row = {1.0f, 0.5f, 0.25f, 1.0f, 0.5f, 0.25f, 1.0f, 0.5f};
  for (const bool value : {false, true}) {
    std::vector<std::byte> block(kInt8Bytes, std::byte{0x5A});
    StoreKv(KvFormat::kInt8, value, row.data(), kWidth, 7, kTokens, block.data());
    const auto kept = std::count(block.begin(), block.end(), std::byte{0x5A});
    EXPECT_EQ(kInt8Bytes - kept, kWidth + 4) << value;
  }
}

}  // namespace
}  // namespace conclave::engine
