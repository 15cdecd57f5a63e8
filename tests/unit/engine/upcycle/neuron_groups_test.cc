#include "engine/upcycle/neuron_groups.h"

#include <algorithm>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

using ::testing::ElementsAre;

/// Neurons in groups that are active together: neuron i belongs to `of[i]`; each token stirs `active` groups
/// strongly and all others a little.
NeuronEnergies Planted(const std::vector<int32_t>& of, int64_t groups, int64_t active, int64_t tokens) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(0.5f, 1.0f);
  NeuronEnergies energies{.values = {}, .tokens = tokens, .neurons = static_cast<int64_t>(of.size())};
  for (int64_t token = 0; token < tokens; ++token) {
    std::vector<bool> strong(static_cast<size_t>(groups));
    std::fill(strong.begin(), strong.begin() + active, true);
    std::shuffle(strong.begin(), strong.end(), random);
    for (const int32_t group : of)
      energies.values.push_back(uniform(random) * (strong[group] ? 1.0f : 0.01f));
  }
  return energies;
}

std::vector<int32_t> Shuffled(int64_t neurons, int64_t groups) {
  std::vector<int32_t> of;
  for (int64_t i = 0; i < neurons; ++i) of.push_back(static_cast<int32_t>(i % groups));
  std::shuffle(of.begin(), of.end(), std::mt19937(3));
  return of;
}

/// Whether two groupings are the same but for the groups' numbers.
bool SamePartition(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  std::set<std::pair<int32_t, int32_t>> pairs;
  for (size_t i = 0; i < a.size(); ++i) pairs.insert({a[i], b[i]});
  return pairs.size() == std::set<int32_t>(a.begin(), a.end()).size() &&
         pairs.size() == std::set<int32_t>(b.begin(), b.end()).size();
}

TEST(NeuronGroupsTest, PlantedGroupsAreFound) {
  ThreadPool pool(1);
  const auto of = Shuffled(64, 4);
  const NeuronGroups found = GroupNeurons(Planted(of, 4, 1, 600), 4, 1, pool);
  EXPECT_TRUE(SamePartition(found.group_of, of));
  // Beside the strong group's 16 neurons, 48 of a hundredth.
  EXPECT_NEAR(found.kept, 16.0 / (16.0 + 0.48), 0.005);
}

TEST(NeuronGroupsTest, GroupsAreEquallyLargeWhateverTheEnergies) {
  ThreadPool pool(1);
  NeuronEnergies energies = Planted(Shuffled(60, 3), 3, 1, 200);
  for (int64_t token = 0; token < energies.tokens; ++token) {
    std::fill_n(energies.values.begin() + token * 60, 50, 0.0f);
  }
  const NeuronGroups found = GroupNeurons(energies, 5, 2, pool);
  for (int32_t group = 0; group < 5; ++group) {
    EXPECT_EQ(std::count(found.group_of.begin(), found.group_of.end(), group), 12);
  }
}

TEST(NeuronGroupsTest, GroupingKeepsMoreThanDealingOut) {
  ThreadPool pool(1);
  const NeuronEnergies energies = Planted(Shuffled(96, 12), 12, 4, 400);
  std::vector<int32_t> dealt(96), best;
  for (size_t i = 0; i < dealt.size(); ++i) dealt[i] = static_cast<int32_t>(i % 6);
  const auto sums = GroupEnergies(energies, dealt, 6, pool);
  double kept = 0.0, total = 0.0;
  for (int64_t token = 0; token < energies.tokens; ++token) {
    kept += SumOfBest(std::span(sums).subspan(token * 6, 6), 2, best);
    for (int64_t i = 0; i < 6; ++i) total += sums[token * 6 + i];
  }
  EXPECT_GT(GroupNeurons(energies, 6, 2, pool).kept, 1.15 * kept / total);
}

TEST(NeuronGroupsTest, TheNumberOfThreadsChangesNothing) {
  ThreadPool one(1), three(3);
  const NeuronEnergies energies = Planted(Shuffled(96, 8), 8, 3, 300);
  const NeuronGroups a = GroupNeurons(energies, 8, 3, one), b = GroupNeurons(energies, 8, 3, three);
  EXPECT_EQ(a.group_of, b.group_of);
  EXPECT_EQ(a.kept, b.kept);
}

TEST(NeuronGroupsTest, AllGroupsKeepEverything) {
  ThreadPool pool(1);
  EXPECT_EQ(GroupNeurons(Planted(Shuffled(32, 4), 4, 1, 50), 4, 4, pool).kept, 1.0);
}

TEST(NeuronGroupsTest, TheBestOfARow) {
  std::vector<int32_t> best;
  EXPECT_EQ(SumOfBest(std::vector<float>{1, 3, 2, 3}, 2, best), 6.0);
  EXPECT_THAT(best, ElementsAre(1, 3));
  EXPECT_EQ(SumOfBest(std::vector<float>{1, 1, 1}, 2, best), 2.0);
  EXPECT_THAT(best, ElementsAre(0, 1));
}

}  // namespace
}  // namespace conclave::engine
