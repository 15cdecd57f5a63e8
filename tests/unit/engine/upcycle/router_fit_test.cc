#include "engine/upcycle/router_fit.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

constexpr int64_t kTokens = 2000, kHidden = 16, kGroups = 4;

/// Inputs, and energies that grow with their products with one hidden direction a group.
struct Sample {
  std::vector<float> x, energies;
};

Sample Linear() {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  std::vector<float> directions(kGroups * kHidden);
  for (float& number : directions) number = normal(random);
  Sample sample;
  for (int64_t token = 0; token < kTokens; ++token) {
    for (int64_t i = 0; i < kHidden; ++i) sample.x.push_back(normal(random));
    for (int64_t group = 0; group < kGroups; ++group) {
      float product = 0.0f;
      for (int64_t i = 0; i < kHidden; ++i) {
        product += directions[group * kHidden + i] * sample.x[token * kHidden + i];
      }
      sample.energies.push_back(std::exp(product / 4.0f));
    }
  }
  return sample;
}

TEST(RouterFitTest, ARouterThatIsFittedKeepsNearlyTheBest) {
  const Sample sample = Linear();
  ThreadPool pool(1);
  // Each group is one neuron.
  const NeuronEnergies energies{.values = sample.energies, .tokens = kTokens, .neurons = kGroups};
  for (const int64_t chosen : {1, 2, 3}) {
    const auto fitted = FitRouter(energies, {0, 1, 2, 3}, sample.x, kGroups, chosen, pool);
    ASSERT_TRUE(fitted.ok()) << fitted.status().ToString();
    ASSERT_EQ(fitted->router.size(), static_cast<size_t>(kGroups * kHidden));
    double best = 0.0, total = 0.0;
    for (int64_t token = 0; token < kTokens; ++token) {
      std::vector<float> row(sample.energies.begin() + token * kGroups,
                             sample.energies.begin() + (token + 1) * kGroups);
      std::sort(row.rbegin(), row.rend());
      for (int64_t i = 0; i < kGroups; ++i) (i < chosen ? best : total) += row[i];
    }
    total += best;
    EXPECT_NEAR(fitted->kept.at_best, best / total, 1e-6);
    EXPECT_LE(fitted->kept.by_router, fitted->kept.at_best);
    EXPECT_GT(fitted->kept.by_router, 0.97 * best / total) << chosen;
  }
}

TEST(RouterFitTest, WhatAChoiceKeepsIsMeasured) {
  const std::vector<float> energies = {1, 2, 3, 4, 0, 2}, logits = {3, 2, 1, 9, 8, 7};
  const KeptEnergy kept = MeasureChoice(logits, energies, 3, 2);
  EXPECT_DOUBLE_EQ(kept.by_router, (1.0 + 2.0 + 4.0 + 0.0) / 12.0);
  EXPECT_DOUBLE_EQ(kept.at_best, (2.0 + 3.0 + 4.0 + 2.0) / 12.0);
}

/// Groups that no router can tell, as their neurons follow inputs of others, are made anew.
TEST(RouterFitTest, NeuronsMoveToGroupsThatTheRouterCanTell) {
  const Sample sample = Linear();
  ThreadPool pool(1);
  NeuronEnergies energies{.values = {}, .tokens = kTokens, .neurons = 2 * kGroups};
  for (size_t i = 0; i < sample.energies.size(); ++i) {
    energies.values.insert(energies.values.end(), 2, sample.energies[i]);
  }
  const auto fitted = FitRouter(energies, {0, 1, 1, 2, 2, 3, 3, 0}, sample.x, kGroups, 1, pool);
  ASSERT_TRUE(fitted.ok());
  // Two neurons that are always equally active.
  for (int64_t i = 0; i < kGroups; ++i) EXPECT_EQ(fitted->group_of[2 * i], fitted->group_of[2 * i + 1]) << i;
}

}  // namespace
}  // namespace conclave::engine
