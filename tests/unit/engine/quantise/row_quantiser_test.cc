#include "engine/quantise/row_quantiser.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "engine/kernels/half_rounding.h"
#include "engine/quantise/code_layout.h"
#include "engine/tensor/half.h"
#include "tests/unit/engine/quantise/formats.h"

namespace conclave::engine {
namespace {

using testing::kBlockFormats;
using testing::LevelsOf;
using testing::NormalNumbers;
using testing::RoundTrip;
using testing::WeightedError;

constexpr int64_t kColumns = 512;

class RowQuantiserTest : public ::testing::TestWithParam<DType> {};

INSTANTIATE_TEST_SUITE_P(Formats, RowQuantiserTest, ::testing::ValuesIn(kBlockFormats),
                         [](const auto& info) { return std::string(InfoOf(info.param).name); });

/// Plain rounding of groups of `group` numbers: the step that spans them, rounded to half precision; with an
/// offset for formats that have one.
std::vector<float> Naive(DType dtype, const std::vector<float>& row) {
  const int64_t group = ScaleGroupOf(dtype);
  const CodeRange range = CodeRangeOf(dtype);
  std::vector<float> out(row.size());
  for (size_t begin = 0; begin < row.size(); begin += group) {
    const auto [low, high] = std::minmax_element(row.begin() + begin, row.begin() + begin + group);
    const float largest = std::max(std::fabs(*low), std::fabs(*high));
    const float span = range.lowest < 0 ? largest / static_cast<float>(range.highest)
                                        : (*high - *low) / static_cast<float>(range.highest);
    const float scale = HalfToFloat(FloatToHalf(span));
    const float offset = range.lowest < 0 ? 0.0f : HalfToFloat(FloatToHalf(*low));
    for (size_t i = begin; i < begin + group; ++i) {
      const float q = std::clamp(std::nearbyint((row[i] - offset) / scale), static_cast<float>(range.lowest),
                                 static_cast<float>(range.highest));
      out[i] = scale * q + offset;
    }
  }
  return out;
}

TEST_P(RowQuantiserTest, NormalNumbersLoseLessThanAUniformRounding) {
  const std::vector<float> row = NormalNumbers(kColumns, 0.02f, 1);
  const double error = WeightedError(row, RoundTrip(GetParam(), row)) / kColumns;
  // A step that spans 32 normal numbers (about four deviations; five at most here), uniformly rounded.
  const double step = 5.0 * 0.02 / (LevelsOf(GetParam()) - 1);
  EXPECT_LT(error, step * step / 12.0);
  EXPECT_GT(error, 0.0);
}

TEST_P(RowQuantiserTest, IsNotWorseThanPlainRounding) {
  // Super blocks share their scales' precision among 256 numbers, which plain rounding here does not.
  const double allowed = InfoOf(GetParam()).block_elements == 256 ? 1.1 : 1.0;
  for (const float deviation : {1e-3f, 0.02f, 1.0f, 300.0f}) {
    for (uint32_t seed = 0; seed < 20; ++seed) {
      const std::vector<float> row = NormalNumbers(kColumns, deviation, seed);
      const double ours = WeightedError(row, RoundTrip(GetParam(), row));
      const double naive = WeightedError(row, Naive(GetParam(), row));
      EXPECT_LE(ours, allowed * naive) << deviation << " " << seed;
    }
  }
}

TEST_P(RowQuantiserTest, NumbersThatTheFormatHoldsComeBackExactly) {
  const DType dtype = GetParam();
  const DTypeInfo& info = InfoOf(dtype);
  const CodeRange range = CodeRangeOf(dtype);
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::byte> block(info.block_bytes);
    std::vector<int8_t> codes(info.block_elements);
    testing::SetUnitScales(dtype, block.data());
    for (size_t i = 0; i < codes.size(); ++i) {
      const int code = range.lowest + static_cast<int>(random() % LevelsOf(dtype));
      codes[i] = static_cast<int8_t>(std::min(code, range.highest));
      // Every group reaches both ends, so that its scale is determined.
      if (i % 16 == 0) codes[i] = static_cast<int8_t>(range.lowest);
      if (i % 16 == 1) codes[i] = static_cast<int8_t>(range.highest);
    }
    WriteCodes(dtype, codes.data(), block.data());
    std::vector<float> row(info.block_elements);
    DequantiseRow(dtype, block.data(), info.block_elements, row.data());
    for (float& x : row) x *= 0.0078125f;
    const std::vector<float> decoded = RoundTrip(dtype, row);
    // A super block's step is a product of two rounded numbers: near, but seldom the same.
    const float allowed = info.block_elements == 256 ? 0x1p-10f : 0.0f;
    for (size_t i = 0; i < row.size(); ++i) {
      ASSERT_TRUE(std::fabs(decoded[i] - row[i]) <= allowed * std::fabs(row[i])) << i << " " << row[i];
    }
  }
}

TEST_P(RowQuantiserTest, ZerosStayZeros) {
  const std::vector<float> zeros(kColumns, 0.0f);
  EXPECT_EQ(RoundTrip(GetParam(), zeros), zeros);
  // A block of zeros beside others, too.
  std::vector<float> row = NormalNumbers(kColumns, 0.02f, 4);
  std::fill_n(row.begin(), 256, 0.0f);
  const std::vector<float> decoded = RoundTrip(GetParam(), row);
  EXPECT_TRUE(std::all_of(decoded.begin(), decoded.begin() + 256, [](float x) { return x == 0.0f; }));
}

TEST_P(RowQuantiserTest, ExtremeNumbersStayFiniteAndNear) {
  const auto steps = static_cast<float>(LevelsOf(GetParam()) / 2 - 1);
  for (const float size : {kLargestWeight, 1.0f, 1e-3f}) {
    std::vector<float> row(kColumns, 0.0f);
    for (int64_t i = 0; i < kColumns; i += 3) row[i] = i % 2 == 0 ? size : -size;
    const std::vector<float> decoded = RoundTrip(GetParam(), row);
    for (int64_t i = 0; i < kColumns; ++i) {
      ASSERT_TRUE(std::fabs(decoded[i] - row[i]) <= size / steps) << size << " " << i << " " << decoded[i];
    }
  }
}

TEST_P(RowQuantiserTest, NumbersBelowEveryScaleDoNotGrow) {
  // The smallest half precision scale is 2^-24; these are smaller than half of its step.
  for (const float size : {1e-9f, 1e-20f, 1e-38f, std::numeric_limits<float>::denorm_min()}) {
    std::vector<float> row(kColumns);
    for (int64_t i = 0; i < kColumns; ++i) row[i] = i % 2 == 0 ? size : -size;
    for (const float x : RoundTrip(GetParam(), row)) ASSERT_TRUE(std::fabs(x) <= 2.0f * size) << size;
  }
}

TEST_P(RowQuantiserTest, SubnormalScalesAreSearchedAsTheyAreStored) {
  // Scales of a few multiples of 2^-24: rounding one up or down changes every number by a large share.
  const std::vector<float> row = NormalNumbers(kColumns, 2e-6f, 8);
  const double error = WeightedError(row, RoundTrip(GetParam(), row));
  EXPECT_LE(error, WeightedError(row, std::vector<float>(kColumns, 0.0f)));
  // A super block's shared scales are whole multiples of 2^-24 too, and all its groups live with one of each.
  const double allowed = InfoOf(GetParam()).block_elements == 256 ? 3.0 : 1.0;
  EXPECT_LE(error, allowed * WeightedError(row, Naive(GetParam(), row)));
}

TEST_P(RowQuantiserTest, ImportanceMovesTheErrorWhereItCostsLess) {
  std::vector<float> importance(kColumns);
  for (int64_t i = 0; i < kColumns; ++i) importance[i] = i % 8 == 0 ? 50.0f : 0.5f;
  double weighted = 0.0;
  double plain = 0.0;
  for (uint32_t seed = 0; seed < 10; ++seed) {
    const std::vector<float> row = NormalNumbers(kColumns, 0.02f, seed);
    weighted += WeightedError(row, RoundTrip(GetParam(), row, importance), importance);
    plain += WeightedError(row, RoundTrip(GetParam(), row), importance);
  }
  EXPECT_LT(weighted, 0.97 * plain);
}

TEST_P(RowQuantiserTest, ImportanceOfZeroIsNoImportance) {
  const std::vector<float> row = NormalNumbers(kColumns, 0.02f, 9);
  const std::vector<float> zeros(kColumns, 0.0f);
  EXPECT_EQ(RoundTrip(GetParam(), row, zeros), RoundTrip(GetParam(), row));
}

TEST_P(RowQuantiserTest, TheScaleOfImportanceDoesNotMatter) {
  const std::vector<float> row = NormalNumbers(kColumns, 0.02f, 10);
  std::vector<float> importance = NormalNumbers(kColumns, 1.0f, 11);
  for (float& x : importance) x = x * x;
  std::vector<float> larger = importance;
  for (float& x : larger) x *= 1024.0f;
  EXPECT_EQ(RoundTrip(GetParam(), row, larger), RoundTrip(GetParam(), row, importance));
}

}  // namespace
}  // namespace conclave::engine
