#include "engine/sampling/weight_blocks.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/sampling/arg_max.h"

namespace conclave::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Row {
  std::vector<float> logits;
  float max = 0.0f;
  std::vector<float> weights;
};

Row RandomRow(size_t size, float spread, double temperature) {
  std::mt19937 random(static_cast<uint32_t>(size));
  std::normal_distribution<float> normal(0.0f, spread);
  Row row;
  row.logits.resize(size);
  for (float& logit : row.logits) {
    logit = random() % 10 == 0 ? -kInfinity : normal(random);
    if (random() % 50 == 0) logit = std::numeric_limits<float>::quiet_NaN();
  }
  row.logits[size / 2] = 1.0f;  // So that there is a best one.
  row.max = row.logits[ArgMax(row.logits)];
  SoftmaxWeights(row.logits, row.max, temperature, [&](size_t, std::span<const float> part) {
    row.weights.insert(row.weights.end(), part.begin(), part.end());
  });
  return row;
}

class WeightBlocksTest : public ::testing::TestWithParam<std::pair<size_t, double>> {
 protected:
  const size_t size_ = GetParam().first;
  const double temperature_ = GetParam().second;
  const Row row_ = RandomRow(size_, 3.0f, temperature_);
  const WeightBlocks blocks_{row_.logits, row_.max, temperature_};
};

TEST_P(WeightBlocksTest, AddUpToTheTotal) {
  double total = 0.0;
  for (const float weight : row_.weights) total += weight;
  EXPECT_NEAR(blocks_.total(), total, total * 1e-12);
}

TEST_P(WeightBlocksTest, ComeFromABoundOnInOrder) {
  for (const double least : {0.0, 1e-12, 1e-3, 0.4, 1.0, 2.0}) {
    std::vector<std::pair<int32_t, float>> expected, found;
    for (size_t id = 0; id < size_; ++id) {
      if (row_.weights[id] >= least && row_.weights[id] > 0.0f) expected.emplace_back(id, row_.weights[id]);
    }
    blocks_.ForEachFrom(least, [&](int32_t id, float weight) { found.emplace_back(id, weight); });
    EXPECT_EQ(found, expected) << "from " << least;
  }
}

TEST_P(WeightBlocksTest, AtLeastSoManyReachTheBound) {
  std::vector<float> sorted = row_.weights;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  for (const int64_t count : {1, 2, 17, 50, 200, 5000, 100000}) {
    const float bound = blocks_.ReachedBy(count);
    if (count > static_cast<int64_t>(size_)) {
      EXPECT_EQ(bound, 0.0f);
    } else {
      EXPECT_LE(bound, sorted[count - 1]);
    }
    if (count == 1) EXPECT_EQ(bound, 1.0f);
  }
}

TEST_P(WeightBlocksTest, APlaceInTheirSumBelongsToOneOfThem) {
  std::vector<double> passed(size_);
  double sum = 0.0;
  for (size_t id = 0; id < size_; ++id) passed[id] = sum += row_.weights[id];
  std::mt19937 random(3);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  for (int draw = 0; draw < 200; ++draw) {
    const double target = draw == 0 ? 0.0 : uniform(random) * blocks_.total();
    const int32_t id = blocks_.At(target);
    ASSERT_GT(row_.weights[id], 0.0f);
    // Sums in another order differ in their last places.
    const double slack = sum * 1e-12;
    EXPECT_GT(passed[id], target - slack);
    EXPECT_LE(passed[id] - row_.weights[id], target + slack);
  }
  const int32_t last = blocks_.At(2.0 * blocks_.total());
  EXPECT_TRUE(
      std::all_of(row_.weights.begin() + last + 1, row_.weights.end(), [](float w) { return w == 0.0f; }));
  EXPECT_GT(row_.weights[last], 0.0f);
}

INSTANTIATE_TEST_SUITE_P(Sizes, WeightBlocksTest,
                         ::testing::Values(std::pair{1, 1.0}, std::pair{16, 0.7}, std::pair{511, 0.7},
                                           std::pair{513, 2.0}, std::pair{3000, 0.05},
                                           std::pair{49152, 1.0}));

TEST(NoWeightsTest, HaveNoPlace) {
  const std::vector<float> logits(700, -kInfinity);
  EXPECT_EQ(WeightBlocks(logits, 0.0f, 1.0).At(0.0), -1);
}

}  // namespace
}  // namespace conclave::engine
