#include "services/decoder/expert_placement.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::decoder {
namespace {

using ::testing::ElementsAre;

/// Expert i is used 1 / (i + 1)^exponent as often as the first; shuffled.
std::vector<double> Zipf(int64_t experts, double exponent, uint32_t seed) {
  std::vector<double> load(experts);
  for (int64_t i = 0; i < experts; ++i) load[i] = 1.0 / std::pow(static_cast<double>(i + 1), exponent);
  std::ranges::shuffle(load, std::mt19937(seed));
  return load;
}

void ExpectFits(const LayerDemand& demand, const LayerHomes& homes) {
  ASSERT_EQ(homes.size(), demand.load.size());
  std::vector<int64_t> used(demand.places.size(), 0);
  for (const auto& of_expert : homes) {
    EXPECT_FALSE(of_expert.empty());
    EXPECT_EQ(std::set<int32_t>(of_expert.begin(), of_expert.end()).size(), of_expert.size());
    for (const int32_t shard : of_expert) ++used.at(shard);
  }
  for (size_t shard = 0; shard < used.size(); ++shard) EXPECT_LE(used[shard], demand.places[shard]);
}

double Share(const LayerDemand& demand, const LayerHomes& homes) {
  return BusiestShare(LevelledLoads(homes, demand.load, static_cast<int64_t>(demand.places.size())));
}

TEST(ExpertPlacementTest, ASkewedLayerIsLevelWithAFewCopies) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const LayerDemand demand{.load = Zipf(64, 1.2, seed), .places = std::vector<int64_t>(8, 10)};
    const auto homes = PlaceExperts(demand);
    ASSERT_TRUE(homes.ok());
    ExpectFits(demand, *homes);
    EXPECT_LE(Share(demand, *homes), 1.1) << seed;
  }
}

TEST(ExpertPlacementTest, WithoutRoomForCopiesTheBoundOfListSchedulingHolds) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    const int64_t experts = 1 + static_cast<int64_t>(random() % 40);
    const auto shards = 1 + random() % 9;
    LayerDemand demand{.places = std::vector<int64_t>(shards, experts)};
    for (int64_t i = 0; i < experts; ++i) demand.load.push_back(static_cast<double>(random() % 1000));
    const auto homes = PlaceExperts(demand);
    ASSERT_TRUE(homes.ok());
    ExpectFits(demand, *homes);
    double largest = 0.0;
    for (size_t i = 0; i < homes->size(); ++i) {
      largest = std::max(largest, demand.load[i] / static_cast<double>((*homes)[i].size()));
    }
    const auto loads = LevelledLoads(*homes, demand.load, static_cast<int64_t>(shards));
    const double mean = std::accumulate(loads.begin(), loads.end(), 0.0) / static_cast<double>(shards);
    EXPECT_LE(*std::ranges::max_element(loads),
              mean + largest * (1.0 - 1.0 / static_cast<double>(shards)) + 1e-6);
  }
}

TEST(ExpertPlacementTest, EveryExpertHasAPlaceInTightAndUnequalShards) {
  const LayerDemand demand{.load = Zipf(20, 1.0, 1), .places = {1, 0, 12, 7}};
  const auto homes = PlaceExperts(demand);
  ASSERT_TRUE(homes.ok());
  ExpectFits(demand, *homes);
}

TEST(ExpertPlacementTest, AskedForCopiesAreMadeWhereThereIsRoom) {
  LayerDemand demand{.load = std::vector<double>(6, 0.0), .places = {4, 4, 4}, .copies = 2};
  auto homes = PlaceExperts(demand);
  ASSERT_TRUE(homes.ok());
  for (const auto& of_expert : *homes) EXPECT_EQ(of_expert.size(), 2u);
  demand.copies = 5;
  demand.places = {100, 100, 100};
  homes = PlaceExperts(demand);
  ASSERT_TRUE(homes.ok());
  for (const auto& of_expert : *homes) EXPECT_THAT(of_expert, ElementsAre(0, 1, 2));
}

TEST(ExpertPlacementTest, ALevelLayerGetsNoCopies) {
  const LayerDemand demand{.load = std::vector<double>(64, 1.0), .places = std::vector<int64_t>(4, 64)};
  const auto homes = PlaceExperts(demand);
  ASSERT_TRUE(homes.ok());
  for (const auto& of_expert : *homes) EXPECT_EQ(of_expert.size(), 1u);
  EXPECT_DOUBLE_EQ(Share(demand, *homes), 1.0);
}

TEST(ExpertPlacementTest, ExpertsStayWhereTheyAreAsLongAsThatIsLevel) {
  LayerDemand demand{.load = Zipf(64, 1.2, 5), .places = std::vector<int64_t>(8, 10)};
  const LayerHomes before = *PlaceExperts(demand);
  EXPECT_EQ(*PlaceExperts(demand, before), before);
  std::mt19937 random(9);
  std::uniform_real_distribution<double> little(0.97, 1.03);
  for (double& load : demand.load) load *= little(random);
  const LayerHomes after = *PlaceExperts(demand, before);
  const LayerHomes fresh = *PlaceExperts(demand);
  const auto moves = [&](const LayerHomes& homes) {
    int64_t count = 0;
    for (size_t i = 0; i < homes.size(); ++i) {
      for (const int32_t shard : homes[i]) count += std::ranges::count(before[i], shard) == 0;
    }
    return count;
  };
  EXPECT_LT(moves(after), moves(fresh));
  EXPECT_LE(Share(demand, after), 1.1);
}

TEST(ExpertPlacementTest, WhatCannotBePlacedIsRefused) {
  const auto code = [](const LayerDemand& demand) { return PlaceExperts(demand).status().code(); };
  EXPECT_EQ(code({.load = {1, 1, 1}, .places = {1, 1}}), StatusCode::kResourceExhausted);
  EXPECT_EQ(code({.load = {1}, .places = {}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.load = {-1.0}, .places = {1}}), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.load = {std::numeric_limits<double>::quiet_NaN()}, .places = {1}}),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(code({.load = {std::numeric_limits<double>::infinity()}, .places = {1}}),
            StatusCode::kInvalidArgument);
}

TEST(ExpertPlacementTest, LevelledLoadsAreTheLeastThatHomesAllow) {
  // Expert 0 lives in both shards, 1 only in the first.
  const std::vector<double> load = {4.0, 3.0};
  EXPECT_THAT(LevelledLoads({{0, 1}, {0}}, load, 2), ElementsAre(3.5, 3.5));
  const std::vector<double> heavy = {1.0, 9.0};
  EXPECT_THAT(LevelledLoads({{0, 1}, {0}}, heavy, 2), ElementsAre(9.0, 1.0));
  EXPECT_DOUBLE_EQ(BusiestShare(std::vector<double>{0.0, 0.0}), 1.0);
}

}  // namespace
}  // namespace conclave::decoder
