#include "engine/sampling/softmax_weights.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "engine/sampling/arg_max.h"
#include "tests/unit/engine/sampling/random_logits.h"

namespace conclave::engine {
namespace {

using testing::RandomLogits;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(SoftmaxWeightsTest, AreTheExponentialsInOrder) {
  for (const size_t size : {1u, 7u, 511u, 512u, 513u, 3000u}) {
    for (const double temperature : {0.1, 0.7, 1.0, 30.0}) {
      const std::vector<float> logits = RandomLogits(size, 4.0f, static_cast<uint32_t>(size));
      const float max = logits[ArgMax(logits)];
      size_t next = 0;
      SoftmaxWeights(logits, max, temperature, [&](size_t first, std::span<const float> weights) {
        ASSERT_EQ(first, next);
        next += weights.size();
        for (size_t i = 0; i < weights.size(); ++i) {
          const double exponent = (static_cast<double>(logits[first + i]) - max) / temperature;
          const double expected = std::exp(exponent);
          // The exponent is rounded once or twice, to one part in 2^24 each time.
          EXPECT_NEAR(weights[i], expected, expected * (3.0 + 3.0 * std::fabs(exponent)) * 0x1p-24 + 1e-38);
        }
      });
      EXPECT_EQ(next, size);
    }
  }
}

TEST(SoftmaxWeightsTest, WhatIsNoNumberWeighsNothingAndATinyTemperatureLeavesTheBest) {
  const std::vector<float> logits = {1.0f, kNan, -kInfinity, 2.0f, 2.0f};
  for (const double temperature : {1.0, 1e-30, 1e-300}) {
    SoftmaxWeights(logits, 2.0f, temperature, [&](size_t, std::span<const float> weights) {
      EXPECT_EQ(weights[1], 0.0f);
      EXPECT_EQ(weights[2], 0.0f);
      EXPECT_EQ(weights[3], 1.0f);
      EXPECT_EQ(weights[4], 1.0f);
      if (temperature < 1.0) EXPECT_EQ(weights[0], 0.0f);
    });
  }
}

}  // namespace
}  // namespace conclave::engine
