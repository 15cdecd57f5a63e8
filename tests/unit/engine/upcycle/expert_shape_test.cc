#include "engine/upcycle/expert_shape.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Error(const ExpertWish& wish, int64_t inner = 1536, int64_t block = 32) {
  return ShapeExperts(wish, inner, block).status().ToString();
}

TEST(ExpertShapeTest, WidthsAreWholeBlocksAndAddUp) {
  for (const int64_t experts : {2, 3, 7, 8, 16, 48}) {
    for (const double shared : {0.05, 0.25, 0.5, 0.9}) {
      const auto shape = ShapeExperts({.experts = experts, .chosen = 2, .shared = shared}, 1536, 32);
      ASSERT_TRUE(shape.ok()) << shape.status().ToString();
      EXPECT_EQ(shape->inner(), 1536);
      EXPECT_GT(shape->width, 0);
      EXPECT_GE(shape->shared_width, 0);
      EXPECT_EQ(shape->width % 32, 0);
      EXPECT_EQ(shape->shared_width % 32, 0);
    }
  }
}

TEST(ExpertShapeTest, TheSharedPartIsTheNearestThatFits) {
  const auto shape = ShapeExperts({.experts = 8, .chosen = 2, .shared = 0.25}, 2048, 32);
  ASSERT_TRUE(shape.ok());
  EXPECT_EQ(shape->width, 192);
  EXPECT_EQ(shape->shared_width, 512);
  EXPECT_DOUBLE_EQ(shape->active_share(), (512.0 + 2 * 192.0) / 2048.0);
  const auto none = ShapeExperts({.experts = 8, .chosen = 8, .shared = 0.0}, 2048, 32);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->shared_width, 0);
  EXPECT_EQ(none->active_share(), 1.0);
}

TEST(ExpertShapeTest, WhatDoesNotFitIsRefusedWithWhatDoes) {
  EXPECT_THAT(Error({.experts = 8, .chosen = 9}), AllOf(HasSubstr("9 of 8 experts"), HasSubstr("--top-k")));
  EXPECT_THAT(Error({.experts = 8, .chosen = 0}), HasSubstr("1 to 8"));
  EXPECT_THAT(Error({.experts = 1, .chosen = 1}), HasSubstr("2 to 4096"));
  EXPECT_THAT(Error({.experts = -3, .chosen = 1}), HasSubstr("--experts"));
  EXPECT_THAT(Error({.experts = 7, .chosen = 2, .shared = 0.0}),
              AllOf(HasSubstr("48 blocks of 32"), HasSubstr("--experts 6 fits"), HasSubstr("--shared")));
  EXPECT_THAT(Error({.experts = 49, .chosen = 2}), HasSubstr("too few for 49"));
  EXPECT_THAT(Error({.experts = 2, .chosen = 2}, 1000), HasSubstr("not whole blocks"));
  for (const double shared : {-0.1, 1.0, std::nan("")}) {
    EXPECT_THAT(Error({.experts = 8, .chosen = 2, .shared = shared}), HasSubstr("--shared"));
  }
}

}  // namespace
}  // namespace conclave::engine
