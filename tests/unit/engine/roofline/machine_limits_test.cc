#include "engine/roofline/machine_limits.h"

#include "engine/roofline/peak_loops.h"
#include "gtest/gtest.h"

namespace conclave::engine {
namespace {

constexpr Effort kQuick{.rounds = 3, .round_s = 0.001, .read_bytes = int64_t{4} << 20};

TEST(MachineLimitsTest, ReadBandwidthIsPositiveAndTheBestIsNoLessThanTheMedian) {
  for (const int members : {1, 2}) {
    ThreadPool pool(members);
    const Rates rates = MeasureReadBandwidth(pool, kQuick);
    EXPECT_GT(rates.median, 0.0);
    EXPECT_GE(rates.best, rates.median);
  }
}

TEST(MachineLimitsTest, PeaksArePositiveAndNameTheirInstruction) {
  ThreadPool pool(1);
  for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kBf16, Arithmetic::kFp32}) {
    const Peak peak = MeasurePeak(arithmetic, pool, kQuick);
    EXPECT_GT(peak.operations_per_s.median, 0.0) << peak.instruction;
    EXPECT_GE(peak.operations_per_s.best, peak.operations_per_s.median) << peak.instruction;
    EXPECT_FALSE(peak.instruction.empty());
  }
}

TEST(MachineLimitsTest, LoopsDoTheWorkThatIsCounted) {
  for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kBf16, Arithmetic::kFp32}) {
    const PeakLoop& loop = BestPeakLoop(arithmetic);
    EXPECT_TRUE(loop.supported());
    for (const int64_t steps : {1, 7, 1000}) {
      EXPECT_EQ(loop.run(steps), loop.ExpectedSum(steps)) << loop.instruction << ", " << steps << " steps";
    }
    EXPECT_EQ(loop.Operations(10), 2 * 10 * kPeakChains * loop.lanes * loop.products_per_lane);
  }
}

TEST(MachineLimitsTest, ADotProductOfBytesMultipliesNoFewerNumbersThanAFloatingPointOne) {
  EXPECT_GE(BestPeakLoop(Arithmetic::kInt8).Operations(1), BestPeakLoop(Arithmetic::kFp32).Operations(1));
  EXPECT_GE(BestPeakLoop(Arithmetic::kBf16).Operations(1), BestPeakLoop(Arithmetic::kFp32).Operations(1));
}

}  // namespace
}  // namespace conclave::engine
