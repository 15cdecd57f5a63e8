#include "services/decoder/step_pacer.h"

#include <gtest/gtest.h>

#include "services/decoder/limits.h"
#include "tests/unit/decoder/scheduler_fixture.h"

namespace conclave::decoder {
namespace {

/// A machine on which a step takes 1 ms, each answer 0.5 ms and each prompt token 0.25 ms.
double SecondsOf(int64_t answers, int64_t prompt_tokens) {
  return 0.001 + 0.0005 * static_cast<double>(answers) + 0.00025 * static_cast<double>(prompt_tokens);
}

TEST(StepPacerTest, FindsWhatFitsBesideAnswers) {
  StepPacer pacer(300);
  for (int step = 0; step < 50; ++step) pacer.Learn(4, 0, SecondsOf(4, 0));
  int64_t tokens = 0;
  for (int step = 0; step < 50; ++step) {
    tokens = pacer.PromptTokens(4, 512);
    pacer.Learn(4, tokens, SecondsOf(4, tokens));
  }
  EXPECT_NEAR(SecondsOf(4, tokens) / SecondsOf(4, 0), 3.0, 0.2);
  EXPECT_EQ(pacer.PromptTokens(4, 10), 10) << "never more than the step's size";
  EXPECT_EQ(pacer.PromptTokens(0, 512), 512) << "nobody waits";
}

TEST(StepPacerTest, SomethingFitsAlways) {
  StepPacer pacer(200);
  pacer.Learn(1, 0, 0.001);
  pacer.Learn(1, 32, 10.0);
  EXPECT_EQ(pacer.PromptTokens(1, 512), kLeastPacedTokens);
  pacer.Learn(1, 0, 0.001);
  for (int step = 0; step < 100; ++step) pacer.Learn(1, 8, 0.0);
  EXPECT_GT(pacer.PromptTokens(1, 512), 100);
  EXPECT_EQ(StepPacer(0).PromptTokens(5, 512), 512);
}

TEST(StepPacerTest, KnowsNothingAtFirst) {
  StepPacer pacer(250);
  EXPECT_EQ(pacer.PromptTokens(1, 512), 32);
  pacer.Learn(0, 0, 1.0);
  pacer.Learn(3, 10, 1.0);
  EXPECT_EQ(pacer.PromptTokens(3, 512), 32);
  EXPECT_EQ(pacer.PromptTokens(int64_t{1} << 40, 512), 32);
}

/// Steps of the fixture take 10 ms whatever they compute, so a token costs a part of the prompt's first step.
TEST_F(SchedulerTest, PromptsArePacedBesideAnswers) {
  Restart({.step_tokens = 400, .slowdown_percent = 200}, 64);
  ASSERT_TRUE(Admit(1, 40, 200).ok());
  EXPECT_EQ(Step(), std::vector<int64_t>{40});
  for (int step = 0; step < 5; ++step) EXPECT_EQ(Step(), std::vector<int64_t>{1});
  ASSERT_TRUE(Admit(2, 100, 10).ok());
  EXPECT_EQ(Step(), (std::vector<int64_t>{1, 40})) << "0.25 ms a token, and 10 ms to spend";
}

}  // namespace
}  // namespace conclave::decoder
