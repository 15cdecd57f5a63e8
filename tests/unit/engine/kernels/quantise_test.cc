#include <cmath>
#include <cstring>
#include <limits>

#include "engine/kernels/kernels.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/kernels/random_data.h"

namespace conclave::engine {
namespace {

using testing::RandomFloats;

QuantisedRows Quantise(const Kernels& kernels, const std::vector<float>& x) {
  QuantisedRows out;
  out.Resize(1, static_cast<int64_t>(x.size()));
  std::fill(out.q.begin(), out.q.end(), int8_t{99});
  kernels.quantise_row(x.data(), 0, out);
  return out;
}

template <typename T>
bool SameBits(const AlignedVector<T>& a, const AlignedVector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

void ExpectSame(const std::vector<float>& x) {
  const QuantisedRows wanted = Quantise(ReferenceKernels(), x);
  for (const Kernels* kernels : AvailableKernels()) {
    const QuantisedRows got = Quantise(*kernels, x);
    EXPECT_TRUE(SameBits(got.q, wanted.q)) << kernels->name;
    for (size_t i = 0; i < got.scales.size(); ++i) {
      const bool both_nan = std::isnan(got.scales[i]) && std::isnan(wanted.scales[i]);
      EXPECT_TRUE(both_nan || got.scales[i] == wanted.scales[i]) << kernels->name;
      EXPECT_TRUE(both_nan ? std::isnan(got.sums[i]) : got.sums[i] == wanted.sums[i]) << kernels->name;
    }
    EXPECT_EQ(got.half_sums, wanted.half_sums) << kernels->name;
  }
}

TEST(QuantiseTest, EverySetGivesTheSameBitsForAnyLength) {
  std::mt19937 random(5);
  for (int64_t n = 1; n <= 100; ++n) {
    for (const float width : {1e-30f, 1e-3f, 1.0f, 1e5f, 1e30f}) ExpectSame(RandomFloats(random, n, width));
  }
}

TEST(QuantiseTest, ValuesAreWithinHalfAStep) {
  std::mt19937 random(6);
  const std::vector<float> x = RandomFloats(random, 576);
  const QuantisedRows rows = Quantise(ReferenceKernels(), x);
  for (size_t i = 0; i < x.size(); ++i) {
    const double step = rows.scales[i / 32];
    EXPECT_LE(std::fabs(step * rows.q[i] - x[i]), step * 0.5001);
    EXPECT_LE(std::abs(rows.q[i]), 127);
  }
}

TEST(QuantiseTest, ExtremesNeitherOverflowNorVanish) {
  const float largest = std::numeric_limits<float>::max();
  const QuantisedRows rows = Quantise(ReferenceKernels(), {largest, -largest, 0.0f});
  EXPECT_EQ(rows.q[0], 127);
  EXPECT_EQ(rows.q[1], -127);
  EXPECT_EQ(rows.q[2], 0);
  for (const float tiny : {0.0f, -0.0f, 1e-45f, 1e-38f, 1.4e-36f, 1.6e-36f}) {
    ExpectSame({tiny, -tiny, tiny / 2});
    const QuantisedRows small = Quantise(ReferenceKernels(), {tiny});
    EXPECT_TRUE(std::isfinite(small.scales[0]));
    EXPECT_LE(std::fabs(small.scales[0] * static_cast<float>(small.q[0]) - tiny), 1.6e-36f);
  }
  ExpectSame({largest, -largest, 1.0f, 1e-40f});
}

TEST(QuantiseTest, ABlockWithANonFiniteNumberHasScaleNanAndNoOtherBlockDoes) {
  for (const float bad : {std::nanf(""), -std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    for (const size_t at : {size_t{32}, size_t{50}, size_t{63}}) {
      std::vector<float> x(96, 1.0f);
      x[at] = bad;
      ExpectSame(x);
      const QuantisedRows rows = Quantise(BestKernels(), x);
      EXPECT_FALSE(std::isnan(rows.scales[0]));
      EXPECT_TRUE(std::isnan(rows.scales[1]));
      EXPECT_TRUE(std::isnan(rows.sums[1]));
      EXPECT_FALSE(std::isnan(rows.scales[2]));
      EXPECT_EQ(rows.q[at], 0);
    }
  }
}

TEST(QuantiseTest, SumRowRestoresTheSums) {
  std::mt19937 random(8);
  QuantisedRows rows = Quantise(ReferenceKernels(), RandomFloats(random, 200));
  const QuantisedRows wanted = rows;
  std::fill(rows.sums.begin(), rows.sums.end(), 0.0f);
  std::fill(rows.half_sums.begin(), rows.half_sums.end(), 0);
  rows.SumRow(0);
  EXPECT_EQ(rows.sums, wanted.sums);
  EXPECT_EQ(rows.half_sums, wanted.half_sums);
}

}  // namespace
}  // namespace conclave::engine
