#include "engine/upcycle/ridge_regression.h"

#include <cmath>
#include <limits>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

using ::testing::HasSubstr;

std::vector<float> Random(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& number : numbers) number = normal(random);
  return numbers;
}

/// Solves A x = b [n] by Gauss-Jordan elimination with pivots.
std::vector<double> DirectSolution(std::vector<double> a, std::vector<double> b) {
  const auto n = static_cast<int64_t>(b.size());
  for (int64_t column = 0; column < n; ++column) {
    int64_t pivot = column;
    for (int64_t i = column; i < n; ++i) {
      if (std::abs(a[i * n + column]) > std::abs(a[pivot * n + column])) pivot = i;
    }
    for (int64_t j = 0; j < n; ++j) std::swap(a[column * n + j], a[pivot * n + j]);
    std::swap(b[column], b[pivot]);
    for (int64_t i = 0; i < n; ++i) {
      if (i == column) continue;
      const double factor = a[i * n + column] / a[column * n + column];
      for (int64_t j = 0; j < n; ++j) a[i * n + j] -= factor * a[column * n + j];
      b[i] -= factor * b[column];
    }
  }
  for (int64_t i = 0; i < n; ++i) b[i] /= a[i * n + i];
  return b;
}

TEST(RidgeRegressionTest, AgreesWithTheDirectSolution) {
  constexpr int64_t kRows = 700, kInputs = 20, kTargets = 3;
  constexpr double kStrength = 0.05;
  const auto x = Random(kRows * kInputs, 1), y = Random(kRows * kTargets, 2);
  ThreadPool pool(2);
  const auto regression = RidgeRegression::Create(x, kInputs, kStrength, pool);
  ASSERT_TRUE(regression.ok()) << regression.status().ToString();
  const auto found = regression->Fit(y, kTargets, pool);
  ASSERT_TRUE(found.ok()) << found.status().ToString();

  std::vector<double> a(kInputs * kInputs);
  double mean_square = 0.0;
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t i = 0; i < kInputs; ++i) {
      mean_square += static_cast<double>(x[row * kInputs + i]) * x[row * kInputs + i] / (kRows * kInputs);
      for (int64_t j = 0; j < kInputs; ++j) {
        a[i * kInputs + j] += static_cast<double>(x[row * kInputs + i]) * x[row * kInputs + j] / kRows;
      }
    }
  }
  for (int64_t i = 0; i < kInputs; ++i) a[i * kInputs + i] += kStrength * mean_square;
  for (int64_t target = 0; target < kTargets; ++target) {
    std::vector<double> b(kInputs);
    for (int64_t row = 0; row < kRows; ++row) {
      for (int64_t i = 0; i < kInputs; ++i) {
        b[i] += static_cast<double>(x[row * kInputs + i]) * y[row * kTargets + target] / kRows;
      }
    }
    const auto expected = DirectSolution(a, b);
    // Sums of 256 products in float32 are a few units in the last place off.
    for (int64_t i = 0; i < kInputs; ++i) EXPECT_NEAR((*found)[target * kInputs + i], expected[i], 1e-6);
  }
}

TEST(RidgeRegressionTest, LinearTargetsAreFoundWithoutRestraint) {
  constexpr int64_t kRows = 300, kInputs = 8;
  const auto x = Random(kRows * kInputs, 3), map = Random(kInputs, 4);
  std::vector<float> y(kRows);
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t i = 0; i < kInputs; ++i) y[row] += map[i] * x[row * kInputs + i];
  }
  ThreadPool pool(1);
  const auto found = RidgeRegression::Create(x, kInputs, 0.0, pool)->Fit(y, 1, pool);
  ASSERT_TRUE(found.ok());
  for (int64_t i = 0; i < kInputs; ++i) EXPECT_NEAR((*found)[i], map[i], 1e-5);
}

TEST(RidgeRegressionTest, WhatCannotBeSolvedIsAnError) {
  ThreadPool pool(1);
  const auto create = [&](const std::vector<float>& x) { return RidgeRegression::Create(x, 2, 0.1, pool); };
  EXPECT_THAT(create({}).status().ToString(), HasSubstr("without rows"));
  EXPECT_THAT(create({0, 0, 0, 0}).status().ToString(), HasSubstr("all zero"));
  const std::vector<float> x = {1, 0, 2, 3};
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT(create({1, bad, 2, 3}).status().ToString(), HasSubstr("not finite"));
    EXPECT_THAT(create(x)->Fit(std::vector<float>{1, bad}, 1, pool).status().ToString(),
                HasSubstr("not finite"));
  }
}

}  // namespace
}  // namespace conclave::engine
