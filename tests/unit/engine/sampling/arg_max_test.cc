#include "engine/sampling/arg_max.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(ArgMaxTest, TheLowestOfTheHighestWins) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> logits(1 + random() % 70);
    // Few values, so that ties are common.
    for (float& logit : logits)
      logit = std::vector<float>{kNan, -kInfinity, -1.0f, -0.0f, 0.0f, 2.0f}[random() % 6];
    int32_t expected = -1;
    float best = -kInfinity;
    for (size_t id = 0; id < logits.size(); ++id) {
      if (logits[id] > best) {
        best = logits[id];
        expected = static_cast<int32_t>(id);
      }
    }
    EXPECT_EQ(ArgMax(logits), expected);
  }
  EXPECT_EQ(ArgMax({}), -1);
}

TEST(LogSumExpTest, SurvivesLargeLogits) {
  EXPECT_DOUBLE_EQ(LogSumExp(std::vector<float>{3e38f, 3e38f}), 3e38f);
  EXPECT_NEAR(LogSumExp(std::vector<float>{1000.0f, 1000.0f}), 1000.0 + std::log(2.0), 1e-9);
  EXPECT_EQ(LogSumExp(std::vector<float>{-kInfinity}), -std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace conclave::engine
