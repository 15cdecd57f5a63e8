#include "engine/quantise/scale_search.h"

#include <cmath>

#include <gtest/gtest.h>

#include "engine/quantise/affine_search.h"
#include "tests/unit/engine/quantise/formats.h"

namespace conclave::engine {
namespace {

using testing::NormalNumbers;

constexpr int64_t kBlock = 32;

std::vector<float> RandomWeights(uint32_t seed) {
  std::vector<float> weights = NormalNumbers(kBlock, 1.0f, seed);
  for (float& w : weights) w = w * w + 0.01f;
  return weights;
}

/// The least error over a fine grid of scales of both signs: what a search could find at best.
float BestOfManyScales(const std::vector<float>& x, const std::vector<float>& weights, CodeRange range) {
  float largest = 0.0f;
  for (const float number : x) largest = std::max(largest, std::fabs(number));
  float best = std::numeric_limits<float>::infinity();
  constexpr int kScales = 20'000;
  for (int i = 1; i <= kScales; ++i) {
    const float scale = 2.5f * largest / static_cast<float>(-range.lowest) * static_cast<float>(i) / kScales;
    for (const float sign : {1.0f, -1.0f}) {
      best = std::min(best, ScaleError(x.data(), weights.data(), kBlock, range, sign * scale));
    }
  }
  return best;
}

TEST(ScaleSearchTest, ComesNearToTheBestOfManyScales) {
  for (const CodeRange range : {CodeRange{-8, 7}, CodeRange{-16, 15}, CodeRange{-32, 31}}) {
    double found = 0.0;
    double best = 0.0;
    for (uint32_t seed = 0; seed < 40; ++seed) {
      const std::vector<float> x = NormalNumbers(kBlock, 0.1f, seed);
      const std::vector<float> weights = RandomWeights(seed + 1000);
      found += FindScale(x.data(), weights.data(), kBlock, range).error;
      best += BestOfManyScales(x, weights, range);
    }
    EXPECT_LT(found, 1.03 * best) << range.highest;
  }
}

TEST(ScaleSearchTest, TheErrorIsThatOfItsScale) {
  const std::vector<float> x = NormalNumbers(kBlock, 0.1f, 3);
  const std::vector<float> weights = RandomWeights(4);
  const ScaleFit fit = FindScale(x.data(), weights.data(), kBlock, {-8, 7});
  EXPECT_EQ(fit.error, ScaleError(x.data(), weights.data(), kBlock, {-8, 7}, fit.scale));
  const ScaleFit half = FindHalfScale(x.data(), weights.data(), kBlock, {-8, 7}, fit);
  EXPECT_EQ(half.error, ScaleError(x.data(), weights.data(), kBlock, {-8, 7}, half.scale));
  EXPECT_NEAR(half.scale, fit.scale, std::fabs(fit.scale) / 500.0f);
}

/// As BestOfManyScales, for ranges that begin and end near the numbers'.
float BestOfManyRanges(const std::vector<float>& x, const std::vector<float>& weights, int highest) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  const float step = (*high - *low) / static_cast<float>(highest);
  float best = std::numeric_limits<float>::infinity();
  for (float low_cut = -1.0f; low_cut < 5.0f; low_cut += 0.05f) {
    for (float high_cut = -1.0f; high_cut < 5.0f; high_cut += 0.05f) {
      const float offset = *low + low_cut * step;
      const float scale = (*high - high_cut * step - offset) / static_cast<float>(highest);
      best = std::min(best, AffineError(x.data(), weights.data(), kBlock, highest, scale, offset));
    }
  }
  return best;
}

TEST(AffineSearchTest, ComesNearToTheBestOfManyRanges) {
  for (const int highest : {15, 31}) {
    double found = 0.0;
    double best = 0.0;
    for (uint32_t seed = 0; seed < 20; ++seed) {
      const std::vector<float> x = NormalNumbers(kBlock, 0.1f, seed);
      const std::vector<float> weights = RandomWeights(seed + 1000);
      found += FindAffine(x.data(), weights.data(), kBlock, highest, OffsetSign::kAny).error;
      best += BestOfManyRanges(x, weights, highest);
    }
    EXPECT_LT(found, 1.06 * best) << highest;
  }
}

TEST(AffineSearchTest, OffsetsKeepTheirSign) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::vector<float> x = NormalNumbers(kBlock, 0.1f, seed);
    for (float& number : x) number += 0.3f;
    const std::vector<float> weights = RandomWeights(seed);
    const AffineFit fit = FindAffine(x.data(), weights.data(), kBlock, 15, OffsetSign::kNotPositive);
    EXPECT_LE(fit.offset, 0.0f);
    EXPECT_GT(fit.scale, 0.0f);
    EXPECT_LT(fit.error, AffineError(x.data(), weights.data(), kBlock, 15, 0.0f, 0.0f));
  }
}

TEST(AffineSearchTest, EqualNumbersAreHeldExactly) {
  const std::vector<float> weights(kBlock, 1.0f);
  for (const float value : {0.0f, -0.75f, 0.75f}) {
    const std::vector<float> x(kBlock, value);
    EXPECT_EQ(FindAffine(x.data(), weights.data(), kBlock, 15, OffsetSign::kAny).error, 0.0f);
    EXPECT_EQ(FindAffine(x.data(), weights.data(), kBlock, 15, OffsetSign::kNotPositive).error, 0.0f);
  }
}

}  // namespace
}  // namespace conclave::engine
