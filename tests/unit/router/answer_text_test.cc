#include "services/router/answer_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::router {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::SequenceEvent Tokens(const std::vector<int32_t>& token_ids) {
  v1::SequenceEvent event;
  for (const int32_t token : token_ids) {
    event.add_token_ids(token);
    v1::TokenLogprob& chosen = *event.add_logprobs()->mutable_chosen();
    chosen.set_token_id(token);
    chosen.set_logprob(-0.25f * static_cast<float>(token));
  }
  return event;
}

v1::SamplingParams StopAt(const std::vector<std::string>& stops) {
  v1::SamplingParams sampling;
  for (const std::string& stop : stops) sampling.add_stop(stop);
  return sampling;
}

TEST(AnswerTextTest, TokensComeWithTheirText) {
  AnswerText answer{v1::SamplingParams()};
  answer.Expect(Tokens({1}));
  answer.Expect(Tokens({2, 3}));
  v1::AnswerDelta delta = answer.Take("one", false);
  EXPECT_EQ(delta.text(), "one");
  EXPECT_THAT(delta.token_ids(), ElementsAre(1));
  delta = answer.Take(" two", true);
  EXPECT_EQ(delta.text(), " two");
  EXPECT_THAT(delta.token_ids(), ElementsAre(2, 3));
  EXPECT_EQ(answer.text(), "one two");
  EXPECT_THAT(answer.token_ids(), ElementsAre(1, 2, 3));
  EXPECT_FALSE(answer.stopped());
}

/// Half a character waits in the tokenizer; its token is certain already.
TEST(AnswerTextTest, TokenWithoutTextIsReported) {
  AnswerText answer{v1::SamplingParams()};
  answer.Expect(Tokens({1}));
  const v1::AnswerDelta delta = answer.Take("", false);
  EXPECT_EQ(delta.text(), "");
  EXPECT_THAT(delta.token_ids(), ElementsAre(1));
}

TEST(AnswerTextTest, TextThatNobodyExpectedHasNoTokens) {
  AnswerText answer{v1::SamplingParams()};
  const v1::AnswerDelta delta = answer.Take("rest", true);
  EXPECT_EQ(delta.text(), "rest");
  EXPECT_THAT(delta.token_ids(), IsEmpty());
}

TEST(AnswerTextTest, LogprobsAreKeptAlwaysAndShownWhenAskedFor) {
  for (const bool asked : {false, true}) {
    v1::SamplingParams sampling;
    if (asked) sampling.set_logprobs(0);
    AnswerText answer(sampling);
    answer.Expect(Tokens({1, 2}));
    EXPECT_EQ(answer.Take("ab", false).logprobs_size(), asked ? 2 : 0);
    EXPECT_THAT(answer.logprobs(), ElementsAre(-0.25f, -0.5f));
  }
}

TEST(AnswerTextTest, StopTextEndsTheAnswerBeforeIt) {
  AnswerText answer(StopAt({"END"}));
  answer.Expect(Tokens({1}));
  answer.Expect(Tokens({2}));
  answer.Expect(Tokens({3}));
  EXPECT_EQ(answer.Take("one E", false).text(), "one ");
  const v1::AnswerDelta last = answer.Take("ND two", false);
  EXPECT_EQ(last.text(), "");
  EXPECT_THAT(last.token_ids(), ElementsAre(2)) << "the token that completed the stop text was paid for";
  EXPECT_TRUE(answer.stopped());
  const v1::AnswerDelta after = answer.Take("three", true);
  EXPECT_EQ(after.text(), "");
  EXPECT_THAT(after.token_ids(), IsEmpty());
  EXPECT_EQ(answer.text(), "one ");
  EXPECT_THAT(answer.token_ids(), ElementsAre(1, 2));
  EXPECT_EQ(answer.logprobs().size(), 2u);
}

TEST(AnswerTextTest, TextAfterAStopTextInTheLastPartIsDropped) {
  AnswerText answer(StopAt({"END"}));
  answer.Expect(Tokens({1}));
  EXPECT_EQ(answer.Take("one END two EN", true).text(), "one ");
  EXPECT_EQ(answer.text(), "one ");
}

TEST(AnswerTextTest, WhatWasHeldBackBelongsToTheEnd) {
  AnswerText answer(StopAt({"END"}));
  answer.Expect(Tokens({1}));
  EXPECT_EQ(answer.Take("one EN", false).text(), "one ");
  EXPECT_EQ(answer.Take("", true).text(), "EN");
  EXPECT_EQ(answer.text(), "one EN");
  EXPECT_FALSE(answer.stopped());
}

}  // namespace
}  // namespace conclave::router
