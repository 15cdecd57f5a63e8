#include "engine/model/routing.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Routing Routed(const ExpertMixture& mixture, const std::vector<float>& logits,
               const std::vector<float>& shared = {}) {
  const int64_t tokens = static_cast<int64_t>(logits.size()) / mixture.experts;
  Routing routing;
  routing.Resize(mixture, tokens);
  ChooseExperts(mixture, 0, tokens, logits.data(), shared.data(), routing);
  return routing;
}

TEST(RoutingTest, TheHighestScoresAreChosenInOrderOfTheirNumbers) {
  const ExpertMixture mixture{.experts = 4, .per_token = 2, .inner = 1};
  const Routing routing = Routed(mixture, {0.0f, 3.0f, 1.0f, 2.0f, 5.0f, -1.0f, 0.0f, 6.0f});
  EXPECT_THAT(routing.experts, ElementsAre(1, 3, 0, 3));
  const double first = 1.0 + std::exp(1.0) + std::exp(2.0) + std::exp(3.0);
  const double second = std::exp(5.0) + std::exp(-1.0) + 1.0 + std::exp(6.0);
  const auto near = [](double value) { return FloatNear(static_cast<float>(value), 1e-6f); };
  EXPECT_THAT(routing.weights, ElementsAre(near(std::exp(3.0) / first), near(std::exp(2.0) / first),
                                           near(std::exp(5.0) / second), near(std::exp(6.0) / second)));
  EXPECT_TRUE(routing.shared_weight.empty());
}

TEST(RoutingTest, RenormalisedScoresAddUpToOne) {
  const ExpertMixture mixture{.experts = 3, .per_token = 2, .inner = 1, .renormalise = true};
  const Routing routing = Routed(mixture, {1.0f, -2.0f, 1.0f});
  EXPECT_THAT(routing.experts, ElementsAre(0, 2));
  EXPECT_THAT(routing.weights, ElementsAre(0.5f, 0.5f));
}

TEST(RoutingTest, OfEqualScoresTheLowerNumberIsChosen) {
  const ExpertMixture mixture{.experts = 5, .per_token = 3, .inner = 1};
  EXPECT_THAT(Routed(mixture, {1.0f, 2.0f, 1.0f, 1.0f, 1.0f}).experts, ElementsAre(0, 1, 2));
}

TEST(RoutingTest, UnitWeightsAreOneHoweverFarTheLogitsAreApart) {
  const ExpertMixture mixture{.experts = 4, .per_token = 2, .inner = 1, .unit_weights = true};
  // A softmax would make 0 of all but the highest, and the lower number would win.
  const Routing routing = Routed(mixture, {-900.0f, 1000.0f, -800.0f, -850.0f, 0.5f, 0.5f, kNan, 0.0f});
  EXPECT_THAT(routing.experts, ElementsAre(1, 2, 0, 1));
  EXPECT_THAT(std::vector<float>(routing.weights.begin(), routing.weights.begin() + 2),
              ElementsAre(1.0f, 1.0f));
  EXPECT_TRUE(std::isnan(routing.weights[2]) && std::isnan(routing.weights[3]));
  const ExpertMixture all{.experts = 3, .per_token = 3, .inner = 1, .unit_weights = true};
  EXPECT_THAT(Routed(all, {1.0f, -5.0f, 2.0f}).weights, ElementsAre(1.0f, 1.0f, 1.0f));
}

TEST(RoutingTest, LogitsThatAreNoNumbersSpoilTheirTokenAlone) {
  const ExpertMixture mixture{.experts = 3, .per_token = 2, .inner = 1};
  for (const float broken : {kNan, std::numeric_limits<float>::infinity()}) {
    const Routing routing = Routed(mixture, {1.0f, broken, 0.0f, 2.0f, 1.0f, 0.0f});
    EXPECT_THAT(routing.experts, ElementsAre(0, 1, 0, 1));
    EXPECT_TRUE(std::isnan(routing.weights[0]) && std::isnan(routing.weights[1]));
    EXPECT_GT(routing.weights[2], 0.6f);
  }
}

TEST(RoutingTest, TheSharedExpertHasASigmoidGate) {
  const ExpertMixture mixture{
      .experts = 2, .per_token = 1, .inner = 1, .shared_inner = 1, .shared_gate = true};
  const Routing routing = Routed(mixture, {1.0f, 0.0f, 0.0f, 1.0f}, {0.0f, 2.0f});
  EXPECT_THAT(routing.experts, ElementsAre(0, 1));
  EXPECT_THAT(routing.shared_weight, ElementsAre(0.5f, FloatNear(0.880797f, 1e-6f)));
}

/// The rules of DeepSeek-V2 and V3 written down once more, by sorting.
struct PlainChoice {
  std::vector<int32_t> experts;
  std::vector<double> weights;
};

PlainChoice ChoosePlainly(const ExpertMixture& mixture, const std::vector<float>& logits,
                          const std::vector<float>& bias) {
  std::vector<double> scores;
  double total = 0.0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit));
  for (const float logit : logits) {
    const double e = std::exp(static_cast<double>(logit));
    scores.push_back(mixture.score == RouterScore::kSigmoid ? e / (1.0 + e) : e / total);
  }
  std::vector<double> by = scores;
  for (size_t i = 0; i < bias.size(); ++i) by[i] += bias[i];
  const int64_t size = mixture.experts / mixture.groups;
  std::vector<std::pair<double, int64_t>> groups;
  for (int64_t group = 0; group < mixture.groups; ++group) {
    std::vector<double> own(by.begin() + group * size, by.begin() + (group + 1) * size);
    std::sort(own.rbegin(), own.rend());
    groups.push_back({mixture.group_rank == GroupRank::kBest ? own[0] : own[0] + own[1], group});
  }
  std::sort(groups.rbegin(), groups.rend());
  std::vector<std::pair<double, int32_t>> candidates;
  for (int64_t i = 0; i < mixture.groups_used; ++i) {
    for (int64_t expert = groups[i].second * size; expert < (groups[i].second + 1) * size; ++expert) {
      candidates.push_back({by[expert], static_cast<int32_t>(expert)});
    }
  }
  std::sort(candidates.rbegin(), candidates.rend());
  PlainChoice out;
  for (int64_t i = 0; i < mixture.per_token; ++i) out.experts.push_back(candidates[i].second);
  std::sort(out.experts.begin(), out.experts.end());
  double sum = 0.0;
  for (const int32_t expert : out.experts) sum += scores[expert];
  for (const int32_t expert : out.experts) {
    out.weights.push_back(scores[expert] / (mixture.renormalise ? sum : 1.0) * mixture.weight_scale);
  }
  return out;
}

TEST(RoutingTest, GroupsScoresAndBiasesAsWrittenDown) {
  std::mt19937 random(77);
  std::normal_distribution<float> normal(0.0f, 2.0f);
  for (const ExpertMixture& mixture : std::vector<ExpertMixture>{
           {.experts = 12, .per_token = 3, .groups = 4, .groups_used = 2, .weight_scale = 16.0},
           {.experts = 12, .per_token = 3, .groups = 4, .groups_used = 4},
           {.experts = 12,
            .per_token = 4,
            .renormalise = true,
            .score = RouterScore::kSigmoid,
            .weight_scale = 2.5},
           {.experts = 16,
            .per_token = 4,
            .renormalise = true,
            .score = RouterScore::kSigmoid,
            .choice_bias = true,
            .groups = 8,
            .groups_used = 3,
            .group_rank = GroupRank::kBestTwo,
            .weight_scale = 2.5},
           {.experts = 16,
            .per_token = 8,
            .score = RouterScore::kSigmoid,
            .choice_bias = true,
            .groups = 2,
            .groups_used = 1,
            .group_rank = GroupRank::kBestTwo}}) {
    for (int round = 0; round < 200; ++round) {
      std::vector<float> logits(mixture.experts), bias(mixture.choice_bias ? mixture.experts : 0);
      for (float& x : logits) x = normal(random);
      for (float& x : bias) x = 0.3f * normal(random);
      Routing routing;
      routing.Resize(mixture, 1);
      ChooseExperts(mixture, 0, 1, logits.data(), nullptr, routing, bias.empty() ? nullptr : bias.data());
      const PlainChoice plain = ChoosePlainly(mixture, logits, bias);
      ASSERT_EQ(routing.experts, plain.experts) << round;
      for (size_t i = 0; i < plain.weights.size(); ++i) {
        ASSERT_NEAR(routing.weights[i], plain.weights[i], 4e-6 * mixture.weight_scale);
      }
    }
  }
}

TEST(RoutingTest, ABiasChoosesButDoesNotWeigh) {
  const ExpertMixture mixture{
      .experts = 3, .per_token = 1, .score = RouterScore::kSigmoid, .choice_bias = true};
  const std::vector<float> logits = {2.0f, 1.0f, 0.0f};
  const std::vector<float> bias = {0.0f, 0.0f, 1.0f};
  Routing routing;
  routing.Resize(mixture, 1);
  ChooseExperts(mixture, 0, 1, logits.data(), nullptr, routing, bias.data());
  EXPECT_THAT(routing.experts, ElementsAre(2));
  EXPECT_THAT(routing.weights, ElementsAre(0.5f));
}

TEST(RoutingTest, SigmoidsOfAnySizeAndBrokenBiases) {
  const ExpertMixture mixture{
      .experts = 3, .per_token = 2, .renormalise = true, .score = RouterScore::kSigmoid, .choice_bias = true};
  Routing routing;
  routing.Resize(mixture, 1);
  std::vector<float> bias = {0.0f, 0.0f, 0.0f};
  const std::vector<float> none = {-500.0f, -500.0f, -500.0f};
  ChooseExperts(mixture, 0, 1, none.data(), nullptr, routing, bias.data());
  EXPECT_THAT(routing.weights, ElementsAre(0.0f, 0.0f));
  bias[1] = kNan;
  const std::vector<float> logits = {1.0f, 2.0f, 3.0f};
  ChooseExperts(mixture, 0, 1, logits.data(), nullptr, routing, bias.data());
  EXPECT_TRUE(std::isnan(routing.weights[0]) && std::isnan(routing.weights[1]));
  for (const float broken : {kNan, std::numeric_limits<float>::infinity()}) {
    const std::vector<float> spoilt = {1.0f, broken, 0.0f};
    ChooseExperts(mixture, 0, 1, spoilt.data(), nullptr, routing, nullptr);
    EXPECT_TRUE(std::isnan(routing.weights[0]));
  }
}

}  // namespace
}  // namespace conclave::engine
