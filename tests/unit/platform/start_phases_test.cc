#include "platform/start_phases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::platform {
namespace {

TEST(StartPhasesTest, TellsOfEachPartWhenItEnds) {
  std::vector<std::string> told;
  StartPhases phases([&](const StartPhase& phase) { told.push_back(phase.name); });
  {
    const PhaseTimer outer(&phases, "outer");
    {
      const PhaseTimer inner(&phases, "inner");
    }
    EXPECT_THAT(told, ::testing::ElementsAre("inner"));
  }
  EXPECT_THAT(told, ::testing::ElementsAre("inner", "outer"));
}

TEST(StartPhasesTest, APartLiesInsideTheOneAroundIt) {
  StartPhases phases;
  {
    const PhaseTimer outer(&phases, "outer");
    const PhaseTimer inner(&phases, "inner");
  }
  const std::vector<StartPhase> ended = phases.Ended();
  ASSERT_EQ(ended.size(), 2u);
  const StartPhase& inner = ended[0];
  const StartPhase& outer = ended[1];
  EXPECT_LE(0.0, outer.from_ms);
  EXPECT_LE(outer.from_ms, inner.from_ms);
  EXPECT_LE(0.0, inner.ms);
  EXPECT_LE(inner.from_ms + inner.ms, outer.from_ms + outer.ms);
  EXPECT_LE(outer.from_ms + outer.ms, phases.ElapsedMs());
}

}  // namespace
}  // namespace conclave::platform
