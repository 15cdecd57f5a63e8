#include "engine/sampling/logits_summary.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "engine/sampling/arg_max.h"
#include "tests/unit/engine/sampling/random_logits.h"

namespace conclave::engine {
namespace {

using testing::RandomLogits;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(LogitsSummaryTest, IsThatOfDoubles) {
  for (const size_t size : {1u, 15u, 16u, 17u, 512u, 530u, 4095u, 4096u, 4097u, 49152u}) {
    for (const float spread : {0.0f, 0.1f, 3.0f, 20.0f, 1000.0f}) {
      const std::vector<float> logits = RandomLogits(size, spread, static_cast<uint32_t>(size));
      const LogitsSummary summary = Summarise(logits);
      EXPECT_EQ(summary.best, ArgMax(logits));
      // Beside the sum's error, the highest logit of each part is rounded once.
      EXPECT_NEAR(summary.log_sum, LogSumExp(logits), 3e-7);
    }
  }
}

TEST(LogitsSummaryTest, TiesGoToTheLowerIdAcrossParts) {
  std::vector<float> logits(20000, 1.0f);
  for (const size_t id : {4500u, 4501u, 9000u, 19999u}) logits[id] = 2.0f;
  EXPECT_EQ(Summarise(logits).best, 4500);
}

TEST(LogitsSummaryTest, WhatIsNoNumberCountsForNothing) {
  std::vector<float> logits(9000, kNan);
  EXPECT_EQ(Summarise(logits).best, -1);
  std::fill(logits.begin(), logits.begin() + 5000, -kInfinity);
  EXPECT_EQ(Summarise(logits).best, -1);
  logits[8000] = 2.0f;
  EXPECT_EQ(Summarise(logits).best, 8000);
  EXPECT_EQ(Summarise(logits).log_sum, 2.0);
  logits[100] = kInfinity;
  EXPECT_EQ(Summarise(logits).best, 100);
  EXPECT_EQ(Summarise({}).best, -1);
}

TEST(LogitsSummaryTest, OfManyRowsIsThatOfEachWithAnyNumberOfThreads) {
  constexpr int64_t kVocabulary = 10007;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    for (const int64_t rows : {0, 1, 5}) {
      const std::vector<float> logits = RandomLogits(rows * kVocabulary, 4.0f, 7);
      std::vector<int64_t> every(rows);
      std::iota(every.begin(), every.end(), 0);
      const auto summaries = SummariseRows(logits.data(), kVocabulary, every, pool);
      ASSERT_EQ(static_cast<int64_t>(summaries.size()), rows);
      for (int64_t row = 0; row < rows; ++row) {
        const LogitsSummary alone = Summarise(std::span(logits).subspan(row * kVocabulary, kVocabulary));
        EXPECT_EQ(summaries[row].best, alone.best);
        EXPECT_EQ(summaries[row].log_sum, alone.log_sum);
      }
    }
  }
}

}  // namespace
}  // namespace conclave::engine
