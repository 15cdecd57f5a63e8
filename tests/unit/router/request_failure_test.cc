#include <gmock/gmock.h>

#include "tests/unit/router/request_fixture.h"

namespace conclave::router {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

/// A request that does not get to its end: every step's failure reaches the client once, and nothing that was
/// started is left behind.
class RequestFailureTest : public RequestTest {
 protected:
  void ExpectFailed(StatusCode code) {
    ASSERT_EQ(answer_->failed.size(), 1u);
    EXPECT_EQ(answer_->failed[0].code(), code) << answer_->failed[0].ToString();
    EXPECT_THAT(answer_->finished, IsEmpty());
  }
};

TEST_F(RequestFailureTest, ModelIsUnknown) {
  RequestPlan plan = ChatPlan("Hi");
  plan.model = "huge";
  Start(std::move(plan));
  Answer(backends_->get_model, Result<ModelInfo>(Model()));
  ExpectFailed(StatusCode::kNotFound);
  EXPECT_THAT(backends_->released, IsEmpty());
}

TEST_F(RequestFailureTest, TokenizerIsDown) {
  Start(ChatPlan("Hi"));
  Answer(backends_->get_model, Result<ModelInfo>(Model()));
  Answer(backends_->render, Result<v1::RenderChatResponse>(Unavailable("tokenizer: gone")));
  ExpectFailed(StatusCode::kUnavailable);
}

TEST_F(RequestFailureTest, PromptFillsTheContext) {
  Start(ChatPlan("Hi"));
  Answer(backends_->get_model, Result<ModelInfo>(Model()));
  Answer(backends_->render, Result<v1::RenderChatResponse>(Rendered(std::vector<int32_t>(100, 1))));
  ExpectFailed(StatusCode::kOutOfRange);
}

TEST_F(RequestFailureTest, PromptIsEmpty) {
  Start(ChatPlan("Hi"));
  Answer(backends_->get_model, Result<ModelInfo>(Model()));
  Answer(backends_->render, Result<v1::RenderChatResponse>(Rendered({})));
  ExpectFailed(StatusCode::kInvalidArgument);
}

TEST_F(RequestFailureTest, QueueIsFull) {
  Start(ChatPlan("Hi"));
  Answer(backends_->get_model, Result<ModelInfo>(Model()));
  Answer(backends_->render, Result<v1::RenderChatResponse>(Rendered({1})));
  Answer(backends_->acquire, ResourceExhausted("full").WithRetryAfterMs(1000));
  ExpectFailed(StatusCode::kResourceExhausted);
  EXPECT_EQ(answer_->failed[0].retry_after_ms(), 1000);
  EXPECT_THAT(backends_->released, IsEmpty()) << "it never held a turn";
  EXPECT_THAT(answer_->started, IsEmpty());
}

TEST_F(RequestFailureTest, DecoderRefusesTheSequence) {
  StartAnswer(ChatPlan("Hi"));
  v1::SequenceEvent refused;
  refused.mutable_end()->set_error_code(static_cast<int>(StatusCode::kInvalidArgument));
  refused.mutable_end()->set_error_message("top_p is 7");
  Answer(backends_->tokens, Result<v1::SequenceEvent>(std::move(refused)));
  ExpectFailed(StatusCode::kInvalidArgument);
  EXPECT_THAT(backends_->ended_sequences, ElementsAre(Pair(FakeBackends::kSequenceId, false)));
  EXPECT_THAT(backends_->released, ElementsAre(Pair(backends_->ticket_.id, 3)));
}

TEST_F(RequestFailureTest, DecoderBreaksInTheMiddle) {
  StartAnswer(ChatPlan("Hi"));
  MakeTokens({kHi});
  Answer(backends_->tokens, Result<v1::SequenceEvent>(Unavailable("decoder: gone")));
  ExpectFailed(StatusCode::kUnavailable);
  EXPECT_THAT(backends_->released, ElementsAre(Pair(backends_->ticket_.id, 4)));
}

TEST_F(RequestFailureTest, DecoderMakesWhatIsNoToken) {
  StartAnswer(ChatPlan("Hi"));
  MakeTokens({kHi, kNoToken});
  ExpectFailed(StatusCode::kInternal);
  EXPECT_THAT(backends_->ended_sequences, ElementsAre(Pair(FakeBackends::kSequenceId, true)));
  EXPECT_EQ(backends_->released.size(), 1u);
}

TEST_F(RequestFailureTest, ClientLeavesWhileItWaits) {
  Start(ChatPlan("Hi"));
  Answer(backends_->get_model, Result<ModelInfo>(Model()));
  Answer(backends_->render, Result<v1::RenderChatResponse>(Rendered({1})));
  Leave();
  EXPECT_EQ(backends_->released.size(), 1u);
  EXPECT_THAT(answer_->failed, IsEmpty()) << "nobody listens any more";
}

TEST_F(RequestFailureTest, ClientLeavesInTheMiddle) {
  StartAnswer(ChatPlan("Hi"));
  MakeTokens({kHi});
  Leave();
  EXPECT_THAT(backends_->ended_sequences, ElementsAre(Pair(FakeBackends::kSequenceId, true)));
  EXPECT_EQ(backends_->released.size(), 1u);
  MakeTokens({kThere});  // Comes too late, and hurts nobody.
  EXPECT_EQ(answer_->text, "Hi");
}

}  // namespace
}  // namespace conclave::router
