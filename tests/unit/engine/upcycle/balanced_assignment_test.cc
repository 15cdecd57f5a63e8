#include "engine/upcycle/balanced_assignment.h"

#include <algorithm>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

using ::testing::ElementsAre;

std::vector<double> RandomUtility(int64_t items, int64_t groups, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  std::vector<double> utility(static_cast<size_t>(items * groups));
  for (double& value : utility) value = uniform(random);
  return utility;
}

double Sum(const std::vector<double>& utility, const std::vector<int32_t>& group_of, int64_t groups) {
  double sum = 0.0;
  for (size_t i = 0; i < group_of.size(); ++i) sum += utility[i * groups + group_of[i]];
  return sum;
}

TEST(BalancedAssignmentTest, GroupsGetEquallyManyItems) {
  for (const int64_t groups : {1, 2, 3, 8}) {
    const auto group_of = AssignBalanced(RandomUtility(24, groups, 1), groups);
    for (int32_t group = 0; group < groups; ++group) {
      EXPECT_EQ(std::count(group_of.begin(), group_of.end(), group), 24 / groups) << groups;
    }
  }
}

TEST(BalancedAssignmentTest, ItemsThatLoseMostByTheirSecondChoiceGoFirst) {
  // All like group 0 best; the last two have the most to lose.
  EXPECT_THAT(AssignBalanced(std::vector<double>{5, 4, 5, 4.5, 5, 0, 5, 1}, 2), ElementsAre(1, 1, 0, 0));
}

TEST(BalancedAssignmentTest, NoExchangeOfTwoItemsBettersIt) {
  constexpr int64_t kItems = 40, kGroups = 5;
  const auto utility = RandomUtility(kItems, kGroups, 2);
  auto group_of = AssignBalanced(utility, kGroups);
  const double found = Sum(utility, group_of, kGroups);
  for (int64_t i = 0; i < kItems; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      std::swap(group_of[i], group_of[j]);
      EXPECT_LE(Sum(utility, group_of, kGroups), found + 1e-9) << i << " and " << j;
      std::swap(group_of[i], group_of[j]);
    }
  }
}

TEST(BalancedAssignmentTest, IsNearTheBestOfAllAssignments) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const auto utility = RandomUtility(8, 2, seed);
    double best = -1e9;
    for (uint32_t bits = 0; bits < 256; ++bits) {
      std::vector<int32_t> group_of(8);
      for (int i = 0; i < 8; ++i) group_of[i] = static_cast<int32_t>(bits >> i & 1);
      if (std::count(group_of.begin(), group_of.end(), 1) == 4)
        best = std::max(best, Sum(utility, group_of, 2));
    }
    // Between two groups exchanges find the best.
    EXPECT_NEAR(Sum(utility, AssignBalanced(utility, 2), 2), best, 1e-9) << seed;
  }
}

TEST(BalancedAssignmentTest, EqualUtilitiesGiveTheSameAnswerEachTime) {
  EXPECT_THAT(AssignBalanced(std::vector<double>(8, 1.0), 2), ElementsAre(0, 0, 1, 1));
}

}  // namespace
}  // namespace conclave::engine
