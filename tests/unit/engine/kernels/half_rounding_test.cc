#include "engine/kernels/half_rounding.h"

#include <bit>
#include <cmath>
#include <limits>

#include "engine/tensor/half.h"
#include "gtest/gtest.h"

namespace conclave::engine {
namespace {

TEST(HalfRoundingTest, EveryHalfComesBack) {
  for (uint32_t half = 0; half <= 0xFFFF; ++half) {
    const float value = HalfToFloat(static_cast<uint16_t>(half));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value))));
    } else {
      EXPECT_EQ(FloatToHalf(value), half);
    }
  }
}

TEST(HalfRoundingTest, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t half = 0; half < 0x7BFF; ++half) {
    const float low = HalfToFloat(static_cast<uint16_t>(half));
    const float high = HalfToFloat(static_cast<uint16_t>(half + 1));
    const float middle = (low + high) / 2;  // exact in float32
    EXPECT_EQ(FloatToHalf(middle), half + half % 2);
    EXPECT_EQ(FloatToHalf(std::nextafter(middle, 0.0f)), half);
    EXPECT_EQ(FloatToHalf(std::nextafter(middle, 1e9f)), half + 1);
    EXPECT_EQ(FloatToHalf(-middle), 0x8000 | (half + half % 2));
  }
}

TEST(HalfRoundingTest, OverflowsAtTheMiddleBeyondTheLargest) {
  EXPECT_EQ(FloatToHalf(65504.0f), 0x7BFF);
  EXPECT_EQ(FloatToHalf(std::nextafter(65520.0f, 0.0f)), 0x7BFF);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7C00);
  EXPECT_EQ(FloatToHalf(-std::numeric_limits<float>::max()), 0xFC00);
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::infinity()), 0x7C00);
}

TEST(BrainRoundingTest, EveryNumberComesBackAndNaNsBecomeQuiet) {
  for (uint32_t brain = 0; brain <= 0xFFFF; ++brain) {
    const float value = BrainToFloat(static_cast<uint16_t>(brain));
    EXPECT_EQ(FloatToBrain(value), std::isnan(value) ? brain | 0x40 : brain);
  }
}

TEST(BrainRoundingTest, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t brain = 0; brain < 0x7F7F; ++brain) {
    const float middle = std::bit_cast<float>(brain << 16 | 0x8000);
    EXPECT_EQ(FloatToBrain(middle), brain + brain % 2);
    EXPECT_EQ(FloatToBrain(std::nextafter(middle, 0.0f)), brain);
    EXPECT_EQ(FloatToBrain(std::nextafter(middle, HUGE_VALF)), brain + 1);
    EXPECT_EQ(FloatToBrain(-middle), 0x8000 | (brain + brain % 2));
  }
  EXPECT_EQ(FloatToBrain(std::numeric_limits<float>::max()), 0x7F80);
}

}  // namespace
}  // namespace conclave::engine
