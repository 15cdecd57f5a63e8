#include "services/router/answer_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::router {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// One answer of a model whose tokens are the given texts; the last one is its end token.
class AnswerTextTest : public ::testing::Test {
 protected:
  void Begin(const std::vector<std::string>& tokens, const v1::SamplingParams& sampling = {}) {
    TokenTable table;
    for (const std::string& token : tokens) table.Add(token, &token == &tokens.back());
    answer_.emplace(std::make_shared<const TokenTable>(std::move(table)), sampling);
  }

  v1::AnswerDelta Take(const std::vector<int32_t>& token_ids, v1::FinishReason end = {}) {
    v1::SequenceEvent event;
    for (const int32_t token : token_ids) {
      event.add_token_ids(token);
      v1::TokenLogprob& chosen = *event.add_logprobs()->mutable_chosen();
      chosen.set_token_id(token);
      chosen.set_logprob(-0.25f * static_cast<float>(token));
    }
    if (end != v1::FINISH_REASON_UNSPECIFIED) event.mutable_end()->set_finish_reason(end);
    auto delta = answer_->Take(event);
    EXPECT_TRUE(delta.ok()) << delta.status().ToString();
    return delta.ok() ? *delta : v1::AnswerDelta();
  }

  static v1::SamplingParams StopAtEnd() {
    v1::SamplingParams sampling;
    sampling.add_stop("END");
    return sampling;
  }

  std::optional<AnswerText> answer_;
};

TEST_F(AnswerTextTest, TokensComeWithTheirText) {
  Begin({"one", " two", " three", "<end>"});
  v1::AnswerDelta delta = Take({0});
  EXPECT_EQ(delta.text(), "one");
  EXPECT_THAT(delta.token_ids(), ElementsAre(0));
  delta = Take({1, 2}, v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(delta.text(), " two three");
  EXPECT_THAT(delta.token_ids(), ElementsAre(1, 2));
  EXPECT_EQ(answer_->text(), "one two three");
  EXPECT_THAT(answer_->token_ids(), ElementsAre(0, 1, 2));
  EXPECT_FALSE(answer_->stopped());
}

TEST_F(AnswerTextTest, HalfACharacterWaitsButItsTokenDoesNot) {
  Begin({"\xE2\x82", "\xAC", "<end>"});
  v1::AnswerDelta delta = Take({0});
  EXPECT_EQ(delta.text(), "");
  EXPECT_THAT(delta.token_ids(), ElementsAre(0));
  EXPECT_EQ(Take({1}).text(), "€");
  EXPECT_EQ(Take({0}).text(), "");
  EXPECT_EQ(Take({2}, v1::FINISH_REASON_STOP).text(), "\uFFFD");
}

/// Whatever its type: an answer may end at a token that is text elsewhere.
TEST_F(AnswerTextTest, TokenThatEndedTheAnswerIsNotPartOfItsText) {
  Begin({"one", "\n", "<end>"});
  const v1::AnswerDelta delta = Take({0, 1}, v1::FINISH_REASON_STOP);
  EXPECT_EQ(delta.text(), "one");
  EXPECT_THAT(delta.token_ids(), ElementsAre(0, 1));
}

TEST_F(AnswerTextTest, EventThatOnlyEndsTheAnswerIsFine) {
  Begin({"one", "<end>"});
  EXPECT_EQ(Take({}, v1::FINISH_REASON_STOP).text(), "");
}

TEST_F(AnswerTextTest, UnknownTokenIsTheDecodersFault) {
  Begin({"one", "<end>"});
  v1::SequenceEvent event;
  event.add_token_ids(0);
  event.add_token_ids(2);
  EXPECT_EQ(answer_->Take(event).status().code(), StatusCode::kInternal);
  EXPECT_THAT(answer_->token_ids(), IsEmpty());
}

TEST_F(AnswerTextTest, LogprobsAreKeptAlwaysAndShownWhenAskedFor) {
  for (const bool asked : {false, true}) {
    v1::SamplingParams sampling;
    if (asked) sampling.set_logprobs(0);
    Begin({"a", "b", "c", "<end>"}, sampling);
    EXPECT_EQ(Take({1, 2}).logprobs_size(), asked ? 2 : 0);
    EXPECT_THAT(answer_->logprobs(), ElementsAre(-0.25f, -0.5f));
  }
}

TEST_F(AnswerTextTest, StopTextEndsTheAnswerBeforeIt) {
  Begin({"one E", "ND two", "three", "<end>"}, StopAtEnd());
  EXPECT_EQ(Take({0}).text(), "one ");
  const v1::AnswerDelta last = Take({1});
  EXPECT_EQ(last.text(), "");
  EXPECT_THAT(last.token_ids(), ElementsAre(1)) << "the token that completed the stop text was paid for";
  EXPECT_TRUE(answer_->stopped());
  const v1::AnswerDelta after = Take({2}, v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(after.text(), "");
  EXPECT_THAT(after.token_ids(), IsEmpty());
  EXPECT_EQ(answer_->text(), "one ");
  EXPECT_THAT(answer_->token_ids(), ElementsAre(0, 1));
  EXPECT_EQ(answer_->logprobs().size(), 2u);
}

TEST_F(AnswerTextTest, TextAfterAStopTextInTheLastPartIsDropped) {
  Begin({"one END two EN", "<end>"}, StopAtEnd());
  EXPECT_EQ(Take({0}, v1::FINISH_REASON_LENGTH).text(), "one ");
  EXPECT_EQ(answer_->text(), "one ");
}

TEST_F(AnswerTextTest, WhatWasHeldBackBelongsToTheEnd) {
  Begin({"one EN", "<end>"}, StopAtEnd());
  EXPECT_EQ(Take({0}).text(), "one ");
  EXPECT_EQ(Take({1}, v1::FINISH_REASON_STOP).text(), "EN");
  EXPECT_EQ(answer_->text(), "one EN");
  EXPECT_FALSE(answer_->stopped());
}

}  // namespace
}  // namespace conclave::router
