#include "engine/quantise/code_refiner.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "engine/quantise/code_layout.h"
#include "engine/quantise/statistics_gatherer.h"
#include "tests/unit/engine/quantise/formats.h"

namespace conclave::engine {
namespace {

constexpr int64_t kColumns = 256;
constexpr int64_t kTokens = 600;

/// Activations whose columns share a few directions, so that errors can make up for each other.
std::vector<float> CorrelatedRows(uint32_t seed) {
  constexpr int64_t kDirections = 8;
  const std::vector<float> directions = testing::NormalNumbers(kDirections * kColumns, 1.0f, seed);
  const std::vector<float> amounts = testing::NormalNumbers(kTokens * kDirections, 1.0f, seed + 1);
  std::vector<float> rows = testing::NormalNumbers(kTokens * kColumns, 0.5f, seed + 2);
  for (int64_t token = 0; token < kTokens; ++token) {
    for (int64_t k = 0; k < kDirections; ++k) {
      for (int64_t i = 0; i < kColumns; ++i) {
        rows[token * kColumns + i] += amounts[token * kDirections + k] * directions[k * kColumns + i];
      }
    }
  }
  return rows;
}

std::shared_ptr<const ColumnStatistics> StatisticsOf(const std::vector<float>& rows) {
  ThreadPool pool(2);
  InputStatistics statistics;
  ProductScratch scratch;
  for (int64_t begin = 0; begin < kTokens; begin += 100) {
    EXPECT_TRUE(
        statistics
            .Add({.x = rows.data() + begin * kColumns, .rows = 100, .columns = kColumns}, {}, pool, scratch)
            .ok());
  }
  return *statistics.Take();
}

/// The mean over the tokens of (errors . x)^2.
double OutputError(const std::vector<float>& a, const std::vector<float>& b, const std::vector<float>& rows) {
  double sum = 0.0;
  for (int64_t token = 0; token < kTokens; ++token) {
    double product = 0.0;
    for (int64_t i = 0; i < kColumns; ++i) product += (a[i] - b[i]) * rows[token * kColumns + i];
    sum += product * product;
  }
  return sum / kTokens;
}

TEST(StatisticsGathererTest, ProductsAreMeansOverTheTokens) {
  const std::vector<float> rows = CorrelatedRows(1);
  const auto statistics = StatisticsOf(rows);
  ASSERT_EQ(statistics->blocks.size(), 1u);
  const std::vector<float>& products = statistics->blocks[0].products;
  for (const int64_t i : {0, 7, 255}) {
    for (const int64_t j : {0, 8, 255}) {
      double mean = 0.0;
      for (int64_t token = 0; token < kTokens; ++token) {
        mean += static_cast<double>(rows[token * kColumns + i]) * rows[token * kColumns + j] / kTokens;
      }
      const double found = products[i * kColumns + j];
      EXPECT_EQ(found, products[j * kColumns + i]);
      // Products of different columns are a little smaller, so that a short text is not taken too literally.
      EXPECT_NEAR(found, i == j ? mean : found / mean * mean, 1e-3);
      if (i != j) EXPECT_LE(std::abs(found), std::abs(mean) + 1e-3);
    }
    EXPECT_EQ(statistics->mean_squares[i], products[i * kColumns + i]);
  }
}

TEST(StatisticsGathererTest, WideInputsAreCutIntoBlocks) {
  ThreadPool pool(1);
  InputStatistics statistics;
  ProductScratch scratch;
  const std::vector<float> row(3000, 2.0f);
  ASSERT_TRUE(statistics.Add({.x = row.data(), .rows = 1, .columns = 3000}, {}, pool, scratch).ok());
  const auto found = *statistics.Take();
  EXPECT_EQ(found->mean_squares, std::vector<float>(3000, 4.0f));
  int64_t next = 0;
  for (const ColumnBlock& block : found->blocks) {
    EXPECT_EQ(block.first, next);
    EXPECT_LE(block.count, 512);
    next += block.count;
  }
  EXPECT_EQ(next, 3000);
}

TEST(StatisticsGathererTest, ActivationsThatAreNoNumbersAreRefused) {
  ThreadPool pool(1);
  InputStatistics statistics;
  ProductScratch scratch;
  std::vector<float> row(64, 1.0f);
  row[5] = std::numeric_limits<float>::infinity();
  ASSERT_TRUE(statistics.Add({.x = row.data(), .rows = 1, .columns = 64}, {}, pool, scratch).ok());
  EXPECT_EQ(statistics.Take().status().code(), StatusCode::kInvalidArgument);
}

TEST(CodeRefinerTest, LowersTheErrorOfTheProductInEveryFormat) {
  const std::vector<float> rows = CorrelatedRows(3);
  const auto statistics = StatisticsOf(rows);
  for (const DType dtype : testing::kBlockFormats) {
    double plain = 0.0;
    double refined = 0.0;
    for (uint32_t seed = 0; seed < 8; ++seed) {
      const std::vector<float> row = testing::NormalNumbers(kColumns, 0.05f, 50 + seed);
      std::vector<std::byte> bytes(*RowBytes(dtype, kColumns));
      std::vector<float> decoded(kColumns);
      RowQuantiser(dtype, statistics->mean_squares, kColumns).Quantise(row.data(), bytes.data());
      DequantiseRow(dtype, bytes.data(), kColumns, decoded.data());
      plain += OutputError(decoded, row, rows);
      CodeRefiner(dtype, *statistics).Refine(row.data(), bytes.data());
      DequantiseRow(dtype, bytes.data(), kColumns, decoded.data());
      refined += OutputError(decoded, row, rows);
    }
    EXPECT_LT(refined, 0.7 * plain) << InfoOf(dtype).name;
  }
}

TEST(CodeRefinerTest, WithoutCorrelationsNothingIsLeftToDo) {
  ColumnStatistics independent{.mean_squares = std::vector<float>(kColumns, 1.0f)};
  ColumnBlock block{.first = 0, .count = kColumns, .products = std::vector<float>(kColumns * kColumns)};
  for (int64_t i = 0; i < kColumns; ++i) block.products[i * kColumns + i] = 1.0f;
  independent.blocks.push_back(block);
  for (const DType dtype : testing::kBlockFormats) {
    const std::vector<float> row = testing::NormalNumbers(kColumns, 0.05f, 60);
    std::vector<std::byte> bytes(*RowBytes(dtype, kColumns));
    RowQuantiser(dtype, {}, kColumns).Quantise(row.data(), bytes.data());
    const std::vector<std::byte> before = bytes;
    CodeRefiner(dtype, independent).Refine(row.data(), bytes.data());
    EXPECT_EQ(bytes, before) << InfoOf(dtype).name;
  }
}

}  // namespace
}  // namespace conclave::engine
