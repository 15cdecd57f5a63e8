#include "tests/unit/engine/kernels/closeness.h"

#include <limits>

namespace conclave::engine::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(ClosenessTest, NanNeverPassesForANumber) {
  const Tolerance generous{.absolute = 1e30, .relative = 1e30};
  EXPECT_FALSE(IsClose(kNan, 1.0f, generous));
  EXPECT_FALSE(IsClose(1.0f, kNan, generous));
  EXPECT_TRUE(IsClose(kNan, kNan, {}));
}

TEST(ClosenessTest, InfinitiesMustBeTheSame) {
  EXPECT_TRUE(IsClose(kInfinity, kInfinity, {}));
  EXPECT_FALSE(IsClose(-kInfinity, kInfinity, {.absolute = 1e38}));
  EXPECT_FALSE(IsClose(kInfinity, 1.0f, {.absolute = 1e38}));
  EXPECT_FALSE(IsClose(1.0f, kInfinity, {.relative = 1.0}));
}

TEST(ClosenessTest, WrongSignsAndBoundsAreSeen) {
  EXPECT_FALSE(IsClose(-1.0f, 1.0f, {.relative = 1.5}));
  EXPECT_TRUE(IsClose(1.5f, 1.0f, {.absolute = 0.25, .relative = 0.25}));
  EXPECT_FALSE(IsClose(1.5001f, 1.0f, {.absolute = 0.25, .relative = 0.25}));
}

TEST(ClosenessTest, SizesMustAgree) {
  EXPECT_FALSE(AllClose({1.0f}, {1.0f, 2.0f}, {.absolute = 10}));
  EXPECT_FALSE(AllClose({1.0f, 3.0f}, {1.0f, 2.0f}, {.absolute = 0.5}));
  EXPECT_TRUE(AllClose({1.0f, 2.0f}, {1.0f, 2.0f}, {}));
}

}  // namespace
}  // namespace conclave::engine::testing
