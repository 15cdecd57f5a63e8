#include "engine/model/compare_models.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/small_llama.h"
#include "tests/support/temporary_folder.h"

namespace conclave::engine {
namespace {

using ::conclave::testing::MatrixType;

std::unique_ptr<LanguageModel> LoadSmall(const testing::TemporaryFolder& folder, MatrixType type) {
  const std::string path =
      folder.Write("m" + std::to_string(static_cast<int>(type)) + ".gguf", testing::SmallLlama(type).Bytes());
  auto loaded = LanguageModel::Load(path, 0, std::make_shared<ThreadPool>(2));
  EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
  return *std::move(loaded);
}

std::vector<int32_t> SomeTokens(int count) {
  std::vector<int32_t> tokens(count);
  for (int i = 0; i < count; ++i) tokens[i] = (i * 7 + i / 5) % 48;
  return tokens;
}

void Nothing(int64_t, int64_t) {}

TEST(KlDivergence, OfTwoKnownDistributions) {
  const float reference[] = {std::log(0.75f), std::log(0.25f)};
  const float model[] = {std::log(0.5f) + 3.0f, std::log(0.5f) + 3.0f};
  const double expected = 0.75 * std::log(0.75 / 0.5) + 0.25 * std::log(0.25 / 0.5);
  EXPECT_NEAR(KlDivergence(reference, model), expected, 1e-6);
  EXPECT_EQ(KlDivergence(reference, reference), 0.0);
}

TEST(KlDivergence, OfWhatIsNoNumberIsNone) {
  const float fine[] = {0.0f, 1.0f};
  const float broken[] = {0.0f, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_TRUE(std::isnan(KlDivergence(fine, broken)));
  EXPECT_TRUE(std::isnan(KlDivergence(broken, fine)));
}

TEST(ModelComparison, QuantilesLieBetweenNeighbours) {
  const ModelComparison found{.windows = 1, .divergences = {3.0, 1.0, 2.0, 0.0}, .same_top = 3};
  EXPECT_DOUBLE_EQ(found.Quantile(0.5), 1.5);
  EXPECT_DOUBLE_EQ(found.Quantile(0.99), 2.97);
  EXPECT_DOUBLE_EQ(found.Quantile(1.0), 3.0);
  EXPECT_DOUBLE_EQ(found.Mean(), 1.5);
  EXPECT_DOUBLE_EQ(found.Maximum(), 3.0);
  EXPECT_DOUBLE_EQ(found.TopAgreement(), 0.75);
}

TEST(CompareModels, AModelEqualsItself) {
  const testing::TemporaryFolder folder;
  const auto one = LoadSmall(folder, MatrixType::kF32);
  const auto two = LoadSmall(folder, MatrixType::kF32);
  const auto found = CompareModels(*one, *two, SomeTokens(70), 32, Nothing);
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_EQ(found->windows, 2);
  EXPECT_EQ(found->positions(), 2 * 15);
  EXPECT_EQ(found->Maximum(), 0.0);
  EXPECT_EQ(found->TopAgreement(), 1.0);
}

TEST(CompareModels, WindowsLongerThanAChunkGiveThePositionsOfForEachLogits) {
  const testing::TemporaryFolder folder;
  const auto model = LoadSmall(folder, MatrixType::kQ8_0);
  const auto reference = LoadSmall(folder, MatrixType::kF32);
  const auto tokens = SomeTokens(250);
  std::vector<std::vector<float>> theirs;
  ASSERT_TRUE(
      reference
          ->ForEachLogits(tokens, 125,
                          [&](int64_t, std::span<float> row) { theirs.emplace_back(row.begin(), row.end()); })
          .ok());
  std::vector<double> expected;
  ASSERT_TRUE(model
                  ->ForEachLogits(tokens, 125,
                                  [&](int64_t position, std::span<float> row) {
                                    if (position < 249)
                                      expected.push_back(KlDivergence(theirs[position - 125], row));
                                  })
                  .ok());
  const auto found = CompareModels(*model, *reference, tokens, 250, Nothing);
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_EQ(found->divergences, expected);
  EXPECT_GT(found->Mean(), 0.0);
}

TEST(CompareModels, RefusesATextShorterThanAWindow) {
  const testing::TemporaryFolder folder;
  const auto model = LoadSmall(folder, MatrixType::kF32);
  const auto found = CompareModels(*model, *model, SomeTokens(10), 32, Nothing);
  EXPECT_EQ(found.status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace conclave::engine
