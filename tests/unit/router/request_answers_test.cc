#include <gmock/gmock.h>

#include "tests/unit/router/request_fixture.h"

namespace conclave::router {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr uint64_t kSecondSequence = FakeBackends::kSequenceId + 100;

/// A request for several answers.
class RequestAnswersTest : public RequestTest {
 protected:
  void StartAnswers(uint32_t answers) {
    RequestPlan plan = ChatPlan("Hello?");
    plan.answers = answers;
    StartAnswer(std::move(plan));
  }

  void MakeTokensOf(size_t answer, const std::vector<int32_t>& token_ids, v1::FinishReason end = {}) {
    backends_->tokens = backends_->answer_tokens[answer];
    MakeTokens(token_ids, end);
  }
  void FailTokens(size_t answer, Status status) {
    Answer(backends_->answer_tokens[answer], Result<v1::SequenceEvent>(std::move(status)));
  }
  void Finish(size_t answer, int32_t token) {
    MakeTokensOf(answer, {token}, v1::FINISH_REASON_LENGTH);
    MakeRecord();
  }
};

TEST_F(RequestAnswersTest, AreAdmittedTogetherWithSeedsOfTheirOwn) {
  StartAnswers(3);
  EXPECT_EQ(backends_->ticket_.tokens, 3 + 3 * 20);
  EXPECT_EQ(backends_->ticket_.answers, 3);
  EXPECT_EQ(backends_->sequence.sampling().seed(), 5u);
  ASSERT_EQ(backends_->sequence.further_answers_size(), 2);
  EXPECT_EQ(backends_->sequence.further_answers(0).seed(), 6u);
  EXPECT_EQ(backends_->sequence.further_answers(1).seed(), 7u);
  ASSERT_EQ(answer_->started.size(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(answer_->started[i].answer(), i);
    EXPECT_EQ(answer_->started[i].prompt_tokens(), 3u);
    EXPECT_EQ(answer_->started[i].prompt_token_ids_size(), i == 0 ? 3 : 0);
  }
  EXPECT_NE(answer_->started[0].response_id(), answer_->started[1].response_id());
  EXPECT_NE(answer_->started[1].response_id(), answer_->started[2].response_id());
}

TEST_F(RequestAnswersTest, SeedsWrapAroundAtTheirEnd) {
  RequestPlan plan = ChatPlan("Hello?");
  plan.answers = 2;
  plan.sampling.set_seed(UINT64_MAX);
  StartAnswer(std::move(plan));
  EXPECT_EQ(backends_->sequence.further_answers(0).seed(), 0u);
}

TEST_F(RequestAnswersTest, EachIsToldAndRecordedAsItsOwn) {
  StartAnswers(2);
  Finish(1, 18);
  EXPECT_FALSE(answer_->ended());
  Finish(0, 17);
  ASSERT_TRUE(answer_->ended());
  EXPECT_EQ(answer_->text, "1817");
  ASSERT_EQ(answer_->finished.size(), 2u);
  ASSERT_EQ(backends_->record_requests.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const uint32_t which = i == 0 ? 1 : 0;
    const v1::RecordRequest& record = backends_->record_requests[i];
    EXPECT_EQ(answer_->finished[i].answer(), which);
    EXPECT_EQ(answer_->finished[i].seed(), 5u + which);
    EXPECT_EQ(answer_->finished[i].vote_token(), "vote");
    EXPECT_EQ(record.response_id(), answer_->started[which].response_id());
    EXPECT_EQ(record.seed(), 5u + which);
    EXPECT_EQ(record.sampling().seed(), 5u + which) << "what is recorded must give the answer again";
    EXPECT_THAT(record.token_ids(), ElementsAre(17 + static_cast<int32_t>(which)));
    EXPECT_THAT(record.prompt_token_ids(), ElementsAre(10, 11, 12));
  }
  EXPECT_THAT(backends_->released, ElementsAre(Pair(backends_->ticket_.id, 3 + 2)));
}

TEST_F(RequestAnswersTest, OneThatFailsSaysSoAndTheOtherGoesOn) {
  StartAnswers(2);
  FailTokens(1, Internal("no logit is finite"));
  ASSERT_EQ(answer_->failed_answers.size(), 1u);
  EXPECT_EQ(answer_->failed_answers[0].answer(), 1u);
  EXPECT_EQ(answer_->failed_answers[0].error_code(), static_cast<int>(StatusCode::kInternal));
  EXPECT_EQ(answer_->failed_answers[0].error_message(), "no logit is finite");
  MakeTokensOf(1, {kThere});  // Already on its way.
  EXPECT_FALSE(answer_->ended());
  Finish(0, kHi);
  EXPECT_EQ(answer_->text, "Hi");
  ASSERT_TRUE(answer_->ended());
  EXPECT_THAT(answer_->failed, IsEmpty());
  ASSERT_EQ(answer_->finished.size(), 1u);
  EXPECT_EQ(answer_->finished[0].answer(), 0u);
}

TEST_F(RequestAnswersTest, OneWhoseTokensAreNoneStopsItsSequence) {
  StartAnswers(2);
  MakeTokensOf(1, {kNoToken});
  ASSERT_EQ(answer_->failed_answers.size(), 1u);
  EXPECT_EQ(answer_->failed_answers[0].error_code(), static_cast<int>(StatusCode::kInternal));
  EXPECT_THAT(backends_->ended_sequences, ElementsAre(Pair(kSecondSequence, true)));
}

TEST_F(RequestAnswersTest, WhenAllFailTheRequestDoes) {
  StartAnswers(2);
  FailTokens(1, Unavailable("decoder: gone").WithRetryAfterMs(70));
  EXPECT_THAT(answer_->failed, IsEmpty());
  FailTokens(0, Internal("another"));
  ASSERT_EQ(answer_->failed.size(), 1u);
  EXPECT_EQ(answer_->failed[0].code(), StatusCode::kUnavailable);
  EXPECT_EQ(answer_->failed[0].retry_after_ms(), 70);
  EXPECT_EQ(answer_->ends, 0u);
}

TEST_F(RequestAnswersTest, StopTextEndsOneAnswer) {
  RequestPlan plan = ChatPlan("Count");
  plan.answers = 2;
  plan.sampling.add_stop("END");
  StartAnswer(std::move(plan));
  MakeTokensOf(1, {kOneE, kNdTwo});
  EXPECT_THAT(backends_->ended_sequences, ElementsAre(Pair(kSecondSequence, true)));
  MakeRecord();
  Finish(0, kHi);
  ASSERT_TRUE(answer_->ended());
  EXPECT_EQ(answer_->text, "one Hi");
}

TEST_F(RequestAnswersTest, ClientThatLeavesEndsAllOfThem) {
  StartAnswers(2);
  MakeTokensOf(0, {kHi});
  Leave();
  EXPECT_THAT(backends_->ended_sequences,
              ElementsAre(Pair(FakeBackends::kSequenceId, true), Pair(kSecondSequence, true)));
  EXPECT_EQ(backends_->released.size(), 1u);
}

}  // namespace
}  // namespace conclave::router
