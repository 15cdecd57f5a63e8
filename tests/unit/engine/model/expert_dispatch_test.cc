#include "engine/model/expert_dispatch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

using ::testing::ElementsAre;

/// "expert: rows", or "expert: all of N".
std::vector<std::string> Shown(const ExpertDispatch& dispatch) {
  std::vector<std::string> shown;
  for (const ExpertWork& work : dispatch.work()) {
    std::string& text = shown.emplace_back(std::to_string(work.expert) + ":");
    if (work.rows == nullptr) text += " all of " + std::to_string(work.tokens);
    for (int64_t i = 0; i < work.tokens && work.rows != nullptr; ++i)
      text += " " + std::to_string(work.rows[i]);
  }
  return shown;
}

const Routing kRouting{.per_token = 2,
                       .experts = {1, 3, 0, 1, 1, 3},
                       .weights = {0.5f, 0.25f, 0.75f, 0.125f, 1.0f, 2.0f},
                       .shared_weight = {1.0f, 0.5f, 0.25f}};

TEST(ExpertDispatchTest, TokensAreOrderedByExpert) {
  ExpertDispatch dispatch;
  dispatch.Plan({.routed = 4, .common = 1}, 3, &kRouting);
  EXPECT_THAT(Shown(dispatch), ElementsAre("0: 1", "1: 0 1 2", "3: 0 2", "4: all of 3"));
  EXPECT_EQ(dispatch.rows(), 9);
  dispatch.Plan({.routed = 0, .common = 2}, 5, nullptr);
  EXPECT_THAT(Shown(dispatch), ElementsAre("0: all of 5", "1: all of 5"));
  EXPECT_EQ(dispatch.rows(), 10);
}

/// Of powers of two, so that sums are exact whatever their order.
TEST(ExpertDispatchTest, OutputsAreWeightedAndAdded) {
  constexpr int64_t kHidden = 3;
  ExpertDispatch dispatch;
  dispatch.Plan({.routed = 4, .common = 1}, 3, &kRouting);
  std::vector<float> outputs;
  for (const float row : {1.0f, 2.0f, 4.0f, 8.0f, 16.0f, 32.0f, 64.0f, 128.0f, 256.0f}) {
    for (int64_t i = 0; i < kHidden; ++i) outputs.push_back(row * static_cast<float>(i + 1));
  }
  std::vector<float> residual(3 * kHidden, 1.0f);
  ThreadPool pool(1);
  dispatch.AddTo(outputs.data(), kHidden, pool, residual.data());
  // Row by row: expert 0 of token 1; expert 1 of 0, 1, 2; expert 3 of 0, 2; the shared one of 0, 1, 2.
  const float sums[] = {0.5f * 2 + 0.25f * 16 + 64, 0.75f * 1 + 0.125f * 4 + 0.5f * 128,
                        1.0f * 8 + 2.0f * 32 + 0.25f * 256};
  for (int64_t token = 0; token < 3; ++token) {
    for (int64_t i = 0; i < kHidden; ++i) {
      EXPECT_EQ(residual[token * kHidden + i], 1.0f + sums[token] * static_cast<float>(i + 1)) << token;
    }
  }
}

TEST(ExpertDispatchTest, WhoAddsDoesNotMatter) {
  constexpr int64_t kHidden = 96;
  constexpr int64_t kTokens = 600;  // enough to be shared among threads
  Routing routing{.per_token = 2};
  for (int64_t i = 0; i < kTokens; ++i) {
    routing.experts.insert(routing.experts.end(), {static_cast<int32_t>(i % 3), 3});
    routing.weights.insert(routing.weights.end(), {0.3f, 0.1f + static_cast<float>(i) / 1000.0f});
  }
  ExpertDispatch dispatch;
  dispatch.Plan({.routed = 4, .common = 0}, kTokens, &routing);
  std::vector<float> outputs(dispatch.rows() * kHidden);
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = static_cast<float>(i % 977) / 13.0f;
  std::vector<float> one(kTokens * kHidden), three(kTokens * kHidden);
  ThreadPool alone(1), several(3);
  dispatch.AddTo(outputs.data(), kHidden, alone, one.data());
  dispatch.AddTo(outputs.data(), kHidden, several, three.data());
  EXPECT_EQ(one, three);
}

}  // namespace
}  // namespace conclave::engine
