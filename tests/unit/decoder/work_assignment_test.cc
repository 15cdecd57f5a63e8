#include "services/decoder/work_assignment.h"

#include <algorithm>
#include <cmath>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/decoder/expert_placement.h"
#include "services/decoder/limits.h"

namespace conclave::decoder {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(WorkAssignmentTest, WorkGoesWhereItsExpertLives) {
  const WorkShare open[] = {{0, 0, 5}, {1, 2, 4}, {2, 0, 1}};
  const auto assigned = AssignWork(open, {{1}, {0}, {}}, {0, 0});
  EXPECT_THAT(assigned.shares[0], ElementsAre(WorkShare{1, 2, 4}));
  EXPECT_THAT(assigned.shares[1], ElementsAre(WorkShare{0, 0, 5}));
  EXPECT_THAT(assigned.homeless, ElementsAre(WorkShare{2, 0, 1}));
}

TEST(WorkAssignmentTest, ShortWorkIsNotSplit) {
  const WorkShare open[] = {{0, 0, 2 * kRowsOfAWeightRead - 1}};
  const auto assigned = AssignWork(open, {{0, 1}}, {5, 0});
  EXPECT_THAT(assigned.shares[0], IsEmpty());
  EXPECT_THAT(assigned.shares[1], ElementsAre(open[0]));
}

TEST(WorkAssignmentTest, SeveralPiecesGoToDifferentHomes) {
  const WorkShare open[] = {{0, 0, 8}, {1, 0, 8}, {2, 0, 8}, {3, 0, 8}};
  const std::vector<std::vector<int32_t>> homes(4, {0, 1});
  const auto assigned = AssignWork(open, homes, {0, 0});
  EXPECT_EQ(assigned.shares[0].size(), 2u);
  EXPECT_EQ(assigned.shares[1].size(), 2u);
}

/// Every row goes to exactly one shard that has its expert.
TEST(WorkAssignmentTest, NothingIsLostOrDoneTwice) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const auto shards = 1 + random() % 5;
    std::vector<WorkShare> open;
    std::vector<std::vector<int32_t>> homes;
    for (int32_t work = 0; work < 12; ++work) {
      const auto begin = static_cast<int64_t>(random() % 50);
      open.push_back({work, begin, begin + 1 + static_cast<int64_t>(random() % 300)});
      auto& of_work = homes.emplace_back();
      for (size_t shard = 0; shard < shards; ++shard) {
        if (random() % 2 == 0) of_work.push_back(static_cast<int32_t>(shard));
      }
    }
    const auto assigned = AssignWork(open, homes, std::vector<int64_t>(shards, 0));
    std::vector<std::vector<int>> done(12, std::vector<int>(400, 0));
    const auto mark = [&](const WorkShare& share) {
      for (int64_t row = share.begin; row < share.end; ++row) ++done[share.work][row];
    };
    for (size_t shard = 0; shard < shards; ++shard) {
      EXPECT_TRUE(std::ranges::is_sorted(assigned.shares[shard], {}, &WorkShare::work));
      for (const WorkShare& share : assigned.shares[shard]) {
        EXPECT_GT(share.rows(), 0);
        EXPECT_EQ(std::ranges::count(homes[share.work], static_cast<int32_t>(shard)), 1);
        mark(share);
      }
    }
    for (const WorkShare& share : assigned.homeless) mark(share);
    for (const WorkShare& share : open) {
      for (int64_t row = 0; row < 400; ++row) {
        EXPECT_EQ(done[share.work][row], row >= share.begin && row < share.end ? 1 : 0);
      }
    }
  }
}

/// A skewed trace: Zipf 1.2, 64 experts, 2 a token, 512 tokens a step.
class Trace {
 public:
  explicit Trace(uint32_t seed) : random_(seed) {
    std::vector<double> weights;
    for (int i = 1; i <= 64; ++i) weights.push_back(std::pow(i, -1.2));
    std::ranges::shuffle(weights, random_);
    choose_ = std::discrete_distribution<int>(weights.begin(), weights.end());
  }

  /// The rows of each expert in one step.
  std::vector<int64_t> Step() {
    std::vector<int64_t> rows(64, 0);
    for (int token = 0; token < 512; ++token) {
      const int first = choose_(random_);
      int second = choose_(random_);
      while (second == first) second = choose_(random_);
      ++rows[first];
      ++rows[second];
    }
    return rows;
  }

 private:
  std::mt19937 random_;
  std::discrete_distribution<int> choose_;
};

/// What some rows of an expert take.
double Work(int64_t rows) { return rows == 0 ? 0.0 : static_cast<double>(rows + kRowsOfAWeightRead); }

/// Eight shards with half as many places again as there are experts, which were placed by what the trace's
/// first steps took.
TEST(WorkAssignmentTest, ASkewedTraceIsLevelAfterPlacement) {
  for (uint32_t seed = 0; seed < 5; ++seed) {
    Trace trace(seed);
    LayerDemand demand{.load = std::vector<double>(64, 0.0), .places = std::vector<int64_t>(8, 12)};
    for (int i = 0; i < 20; ++i) {
      const auto rows = trace.Step();
      for (size_t expert = 0; expert < rows.size(); ++expert) {
        demand.load[expert] += Work(rows[expert]);
      }
    }
    const auto homes = PlaceExperts(demand);
    ASSERT_TRUE(homes.ok());
    std::vector<double> loads(8, 0.0);
    for (int i = 0; i < 100; ++i) {
      const auto rows = trace.Step();
      std::vector<WorkShare> open;
      std::vector<std::vector<int32_t>> of_work;
      for (size_t expert = 0; expert < rows.size(); ++expert) {
        if (rows[expert] == 0) continue;
        open.push_back({static_cast<int32_t>(open.size()), 0, rows[expert]});
        of_work.push_back((*homes)[expert]);
      }
      const auto assigned = AssignWork(open, of_work, std::vector<int64_t>(8, 0));
      for (size_t shard = 0; shard < 8; ++shard) {
        for (const WorkShare& share : assigned.shares[shard]) loads[shard] += Work(share.rows());
      }
    }
    EXPECT_LE(BusiestShare(loads), 1.1) << seed;
  }
}

}  // namespace
}  // namespace conclave::decoder
