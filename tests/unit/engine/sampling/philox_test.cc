#include "engine/sampling/philox.h"

#include <set>

#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

using Words = std::array<uint32_t, 4>;

/// The known answers that Random123 publishes for philox4x32 with 10 rounds.
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_EQ(Philox(0, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox(~0ull, ~0ull, ~0ull), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, UniformNumbersAreInRangeAndApart) {
  std::set<double> seen;
  double sum = 0.0;
  for (uint64_t counter = 0; counter < 10'000; ++counter) {
    const double value = UniformAt(42, counter);
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    seen.insert(value);
    sum += value;
  }
  EXPECT_EQ(seen.size(), 10'000u);
  EXPECT_NEAR(sum / 10'000, 0.5, 0.015);
}

}  // namespace
}  // namespace conclave::engine
