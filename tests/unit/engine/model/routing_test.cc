#include "engine/model/routing.h"

#include <cmath>
#include <limits>

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

}  // namespace
}  // namespace conclave::engine
