#include "services/decoder/scheduler.h"
#include "tests/unit/decoder/scheduler_fixture.h"

namespace conclave::decoder {
namespace {

/// What the scheduler refuses, and why.
class AdmissionTest : public SchedulerTest {};

TEST_F(AdmissionTest, RefusesWhatIsNoPrompt) {
  EXPECT_EQ(Admit(1, 0, 5).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Admit(1, kContext, 5).code(), StatusCode::kOutOfRange);
  EXPECT_TRUE(Admit(1, kContext - 1, 5).ok());
  for (const int32_t token : {-1, static_cast<int32_t>(kVocabulary), INT32_MAX, INT32_MIN}) {
    SequenceRequest request = Request(sink_, 2, 3, 5);
    request.prompt[1] = token;
    const Status status = scheduler_->Admit(std::move(request));
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(std::to_string(token)), std::string::npos) << status.message();
  }
}

TEST_F(AdmissionTest, RefusesSamplingOutsideItsRange) {
  SequenceRequest request = Request(sink_, 1, 3, 5);
  request.sampling.top_p = 0.0;
  EXPECT_EQ(scheduler_->Admit(std::move(request)).code(), StatusCode::kInvalidArgument);
}

TEST_F(AdmissionTest, RefusesTooManyEndTokens) {
  SequenceRequest request = Request(sink_, 1, 3, 5);
  for (int32_t token = 0; token <= kMostEndTokens; ++token) request.end_tokens.insert(token);
  EXPECT_EQ(scheduler_->Admit(std::move(request)).code(), StatusCode::kInvalidArgument);
}

TEST_F(AdmissionTest, RefusesAnIdThatTheStreamUses) {
  ASSERT_TRUE(Admit(1, 3, 5).ok());
  EXPECT_EQ(Admit(1, 3, 5).code(), StatusCode::kAlreadyExists);
  Step();
  EXPECT_EQ(Admit(1, 3, 5).code(), StatusCode::kAlreadyExists);
  scheduler_->Cancel(sink_.get(), 1);
  EXPECT_TRUE(Admit(1, 3, 5).ok());
}

TEST_F(AdmissionTest, RefusesWhatNeverFitsTheCache) {
  Restart({}, 4);
  const Status status = Admit(1, 100, 29);
  EXPECT_EQ(status.code(), StatusCode::kOutOfRange);
  EXPECT_EQ(status.retry_after_ms(), 0) << "coming again does not help";
  EXPECT_TRUE(Admit(1, 100, 28).ok());
}

TEST_F(AdmissionTest, RefusesWhenTheQueueIsFullAndSaysWhenToComeAgain) {
  Restart({.queued_sequences = 2}, 16);
  ASSERT_TRUE(Admit(1, 3, 5).ok());
  ASSERT_TRUE(Admit(2, 3, 5).ok());
  const Status status = Admit(3, 3, 5);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_GT(status.retry_after_ms(), 0);
  Step();
  EXPECT_TRUE(Admit(3, 3, 5).ok());
}

TEST_F(AdmissionTest, QueueIsBoundedByTokensButHoldsOneLargeRequest) {
  Restart({.queued_tokens = 50}, 16);
  ASSERT_TRUE(Admit(1, 100, 100).ok());
  EXPECT_EQ(Admit(2, 1, 1).code(), StatusCode::kResourceExhausted);
  Step();
  ASSERT_TRUE(Admit(2, 20, 10).ok());
  EXPECT_EQ(Admit(3, 20, 1).code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(Admit(3, 19, 1).ok());
}

TEST_F(AdmissionTest, LongestAnswerIsBoundedByTheContext) {
  ASSERT_TRUE(Admit(1, kContext - 2, 1'000'000'000'000).ok());
  EXPECT_EQ(scheduler_->Snapshot().queued_tokens, kContext);
  while (!sink_->End(1).has_value()) Step();
  EXPECT_EQ(sink_->End(1)->completion_tokens, 2);
}

TEST_F(AdmissionTest, AnswerWithoutALengthHasTheDefaultOne) {
  Restart({}, 32);
  ASSERT_TRUE(Admit(1, 4, 0).ok());
  EXPECT_EQ(scheduler_->Snapshot().queued_tokens, std::min(4 + kDefaultMaxTokens, kContext));
}

}  // namespace
}  // namespace conclave::decoder
