#include "engine/sampling/sampler.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "tests/unit/engine/sampling/plain_sampler.h"

namespace conclave::engine {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

int32_t Choose(const SamplingParams& params, std::vector<float> logits, std::vector<int32_t> prompt = {}) {
  Sampler sampler(params, prompt);
  const auto sampled = sampler.Next(logits);
  EXPECT_TRUE(sampled.ok()) << sampled.status().ToString();
  return sampled.ok() ? sampled->token_id : -1;
}

std::vector<float> RandomLogits(std::mt19937& random, size_t count) {
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

TEST(SamplerTest, GreedyTakesTheHighestAndTheLowerIdOfATie) {
  EXPECT_EQ(Choose({.temperature = 0.0}, {1.0f, 3.0f, 2.0f}), 1);
  EXPECT_EQ(Choose({.temperature = 0.0}, {1.0f, 3.0f, 3.0f}), 1);
  EXPECT_EQ(Choose({.temperature = 0.0, .logit_bias = {{0, 1.0}}}, {2.0f, 3.0f, 3.0f}), 0);
}

TEST(SamplerTest, TiesAtTheCutGoToTheLowerIds) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_LT(Choose({.temperature = 1.0, .top_k = 2, .seed = seed}, {1.0f, 1.0f, 1.0f, 1.0f}), 2);
    EXPECT_LT(Choose({.temperature = 1.0, .top_p = 0.5, .seed = seed}, {1.0f, 1.0f, 1.0f, 1.0f}), 2);
  }
}

TEST(SamplerTest, NanNeverWins) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_NE(Choose({.temperature = 100.0, .seed = seed}, {kNan, 1.0f, kNan, 2.0f}) % 2, 0);
  }
  EXPECT_EQ(Choose({.temperature = 0.0}, {kNan, -5.0f, kNan}), 1);
  EXPECT_EQ(Choose({.temperature = 0.0, .repetition_penalty = 1.5}, {kNan, -5.0f, kNan}, {0}), 1);
}

TEST(SamplerTest, NoFiniteLogitIsAnError) {
  for (const std::vector<float>& logits :
       {std::vector<float>{kNan, kNan}, {-kInfinity, -kInfinity}, {kInfinity, 0.0f}, {kNan, -kInfinity}}) {
    for (const double temperature : {0.0, 1.0}) {
      Sampler sampler({.temperature = temperature}, {});
      std::vector<float> work = logits;
      EXPECT_EQ(sampler.Next(work).status().code(), StatusCode::kInternal);
    }
  }
}

TEST(SamplerTest, BiasForbids) {
  const std::vector<float> logits{50.0f, 1.0f, 0.0f};
  for (uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_NE(Choose({.temperature = 1.0, .logit_bias = {{0, -100.0}}, .seed = seed}, logits), 0);
  }
  std::vector<float> work = logits;
  Sampler nothing({.temperature = 1.0, .logit_bias = {{0, -100.0}, {1, -100.0}, {2, -100.0}}}, {});
  EXPECT_EQ(nothing.Next(work).status().code(), StatusCode::kInternal);
}

TEST(SamplerTest, TemperaturesNearZeroAreGreedy) {
  for (const double temperature : {1e-6, 1e-300, 5e-324}) {
    EXPECT_EQ(Choose({.temperature = temperature}, {1.0f, 3.0f, 2.0f}), 1) << temperature;
  }
}

TEST(SamplerTest, AgreesWithThePlainWayForRandomParameters) {
  std::mt19937 random(3);
  auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  auto maybe = [&](double plain, double low, double high) {
    return random() % 2 == 0 ? plain : uniform(low, high);
  };
  for (int round = 0; round < 400; ++round) {
    const size_t vocabulary = 5 + random() % 60;
    SamplingParams params{.temperature = random() % 8 == 0 ? 0.0 : uniform(0.05, 3.0),
                          .top_k = random() % 2 == 0 ? 0 : static_cast<int64_t>(1 + random() % vocabulary),
                          .top_p = maybe(1.0, 0.05, 1.0),
                          .min_p = maybe(0.0, 0.0, 0.5),
                          .repetition_penalty = maybe(1.0, 0.5, 2.0),
                          .frequency_penalty = maybe(0.0, -2.0, 2.0),
                          .presence_penalty = maybe(0.0, -2.0, 2.0),
                          .seed = random()};
    if (random() % 2 == 0) {
      params.logit_bias[static_cast<int32_t>(random() % vocabulary)] = random() % 2 == 0 ? -100.0 : 3.25;
    }
    const std::vector<int32_t> prompt{0, 1, 1, 2};
    Sampler sampler(params, prompt);
    testing::PlainSampler plain(params, prompt);
    for (int token = 0; token < 12; ++token) {
      const auto logits = RandomLogits(random, vocabulary);
      std::vector<float> work = logits;
      const auto sampled = sampler.Next(work);
      ASSERT_TRUE(sampled.ok());
      ASSERT_EQ(sampled->token_id, plain.Next(logits)) << "round " << round << ", token " << token;
    }
  }
}

TEST(SamplerTest, DrawsFollowTheDistribution) {
  std::mt19937 random(4);
  const auto logits = RandomLogits(random, 8);
  const SamplingParams params{.temperature = 1.5, .top_p = 0.9, .seed = 12};
  const auto expected = testing::PlainSampler(params, {}).Distribution(logits);
  Sampler sampler(params, {});
  constexpr int kDraws = 20000;
  std::map<int32_t, int> counts;
  for (int i = 0; i < kDraws; ++i) {
    std::vector<float> work = logits;
    ++counts[sampler.Next(work)->token_id];
  }
  for (const auto& [token, count] : counts) {
    ASSERT_TRUE(expected.contains(token)) << token;
    const double p = expected.at(token);
    EXPECT_NEAR(count, kDraws * p, 5.0 * std::sqrt(kDraws * p * (1.0 - p)) + 1.0) << token;
  }
}

TEST(SamplerTest, SeedAndPositionAloneDecide) {
  std::mt19937 random(5);
  const auto logits = RandomLogits(random, 100);
  auto answer = [&](uint64_t seed) {
    Sampler sampler({.temperature = 3.0, .seed = seed}, {});
    std::vector<int32_t> tokens;
    for (int i = 0; i < 20; ++i) {
      std::vector<float> work = logits;
      tokens.push_back(sampler.Next(work)->token_id);
    }
    return tokens;
  };
  EXPECT_EQ(answer(1), answer(1));
  EXPECT_NE(answer(1), answer(2));
  EXPECT_NE(answer(1), answer(1 + (uint64_t{1} << 32)));
}

TEST(SamplerTest, LogprobsAreOfTheModelsOwnDistribution) {
  const std::vector<float> logits{2.0f, 0.5f, -1.0f, 2.0f, kNan};
  double sum = 0.0;
  for (int id = 0; id < 4; ++id) sum += std::exp(static_cast<double>(logits[id]));
  auto logprob = [&](int32_t id) { return static_cast<float>(logits[id] - std::log(sum)); };
  for (const double temperature : {0.0, 0.3, 2.0}) {
    for (const bool changed : {false, true}) {
      SamplingParams params{.temperature = temperature, .top_k = 1, .logprobs = 3};
      if (changed) {
        params.repetition_penalty = 2.0;
        params.logit_bias = {{2, 50.0}};
      }
      Sampler sampler(params, std::vector<int32_t>{0, 3});
      std::vector<float> work = logits;
      const auto sampled = sampler.Next(work);
      ASSERT_TRUE(sampled.ok());
      EXPECT_EQ(sampled->token_id, changed ? 2 : 0);
      EXPECT_FLOAT_EQ(sampled->logprob, logprob(sampled->token_id));
      ASSERT_EQ(sampled->top.size(), 3u);
      const int32_t best[] = {0, 3, 1};
      for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(sampled->top[i].token_id, best[i]);
        EXPECT_FLOAT_EQ(sampled->top[i].logprob, logprob(best[i]));
      }
    }
  }
}

TEST(SamplerTest, LogprobsOfZeroMeansTheChosenOneOnly) {
  Sampler sampler({.temperature = 0.0, .logprobs = 0}, {});
  std::vector<float> logits{1.0f, 2.0f};
  const auto sampled = sampler.Next(logits);
  EXPECT_TRUE(sampled->top.empty());
  EXPECT_FLOAT_EQ(sampled->logprob, static_cast<float>(-std::log1p(std::exp(-1.0))));
}

}  // namespace
}  // namespace conclave::engine
