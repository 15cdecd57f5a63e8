#include "engine/model/rope.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

using Kind = RopeScaling::Kind;

Architecture Plain(int64_t context = 64) {
  Architecture a;
  a.rope_dims = 8;
  a.head_dim = 8;
  a.context = context;
  a.rope_theta = 10000.0;
  return a;
}

TEST(RopeTableTest, PlainAngles) {
  const RopeTable table(Plain());
  ASSERT_EQ(table.inverse_frequencies().size(), 4u);
  EXPECT_EQ(table.attention_factor(), 1.0);
  std::vector<float> row(8);
  table.CosSin(3, row.data());
  for (int pair = 0; pair < 4; ++pair) {
    const double angle = 3.0 * std::pow(10.0, -pair);
    EXPECT_NEAR(row[pair], std::cos(angle), 1e-6);
    EXPECT_NEAR(row[4 + pair], std::sin(angle), 1e-6);
  }
}

TEST(RopeTableTest, TableAndComputedPositionsAgreeAtTheSeam) {
  Architecture a = Plain(100'000);
  a.rope_dims = 256;
  a.head_dim = 256;
  const RopeTable long_table(a);
  a.context = 1;
  const RopeTable no_table(a);
  std::vector<float> one(256), other(256);
  for (const int64_t position : {0, 1, 1022, 1023, 1024, 1025, 99'999}) {
    long_table.CosSin(position, one.data());
    no_table.CosSin(position, other.data());
    EXPECT_EQ(one, other) << position;
  }
}

TEST(RopeTableTest, LinearSlowsEveryPair) {
  Architecture a = Plain();
  a.rope_scaling.kind = Kind::kLinear;
  a.rope_scaling.factor = 4.0;
  const RopeTable stretched(a), plain(Plain());
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(stretched.inverse_frequencies()[i], plain.inverse_frequencies()[i] / 4.0f);
  }
}

TEST(RopeTableTest, YarnKeepsFastPairsAndStretchesSlowOnes) {
  Architecture a = Plain(4096);
  a.rope_dims = 64;
  a.rope_scaling = {.kind = Kind::kYarn, .factor = 4.0, .original_context = 1024};
  const RopeTable table(a);
  a.rope_scaling = RopeScaling();
  const RopeTable plain(a);
  EXPECT_EQ(table.inverse_frequencies().front(), plain.inverse_frequencies().front());
  EXPECT_FLOAT_EQ(table.inverse_frequencies().back(), plain.inverse_frequencies().back() / 4.0f);
  EXPECT_NEAR(table.attention_factor(), 0.1 * std::log(4.0) + 1.0, 1e-12);
  std::vector<float> row(64);
  table.CosSin(0, row.data());
  EXPECT_FLOAT_EQ(row[0], static_cast<float>(table.attention_factor()));
}

TEST(RopeTableTest, LongRopeChoosesFactorsByTheModelsContext) {
  Architecture a = Plain(64);
  a.rope_scaling = {.kind = Kind::kLongRope, .original_context = 64};
  a.rope_scaling.short_factors = {1, 1, 1, 1};
  a.rope_scaling.long_factors = {2, 2, 2, 2};
  EXPECT_EQ(RopeTable(a).inverse_frequencies()[0], 1.0f);
  a.context = 65;
  EXPECT_EQ(RopeTable(a).inverse_frequencies()[0], 0.5f);
}

TEST(RopeTableTest, DynamicScalingIsPlainWithinTheContext) {
  Architecture a = Plain();
  a.rope_scaling.kind = Kind::kDynamicNtk;
  a.rope_scaling.factor = 8.0;
  EXPECT_EQ(RopeTable(a).inverse_frequencies(), RopeTable(Plain()).inverse_frequencies());
}

}  // namespace
}  // namespace conclave::engine
