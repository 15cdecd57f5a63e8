#include "services/router/request_actor.h"

#include <gmock/gmock.h>

#include "tests/unit/router/request_fixture.h"

namespace conclave::router {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST_F(RequestTest, ChatFromModelToRecord) {
  StartAnswer(ChatPlan("Hello?"));
  ASSERT_EQ(answer_->started.size(), 1u);
  EXPECT_THAT(answer_->started[0].prompt_token_ids(), ElementsAre(10, 11, 12));
  EXPECT_EQ(answer_->started[0].model().name(), "tiny");
  EXPECT_TRUE(backends_->render_request.add_generation_prompt());
  EXPECT_EQ(backends_->ticket_.tokens, 3 + 20);
  EXPECT_EQ(backends_->ticket_.tenant, "acme");
  EXPECT_THAT(backends_->sequence.end_token_ids(), ElementsAre(2));
  EXPECT_EQ(backends_->sequence.request_id(), "request-1");
  EXPECT_EQ(backends_->sequence.tenant(), "acme");

  MakeTokens({kHi});
  EXPECT_EQ(answer_->text, "Hi");
  MakeTokens({kThere, kEnd}, v1::FINISH_REASON_STOP);
  MakeRecord();

  EXPECT_EQ(answer_->text, "Hi there");
  EXPECT_THAT(answer_->token_ids, ElementsAre(kHi, kThere, kEnd));
  ASSERT_TRUE(answer_->ended());
  ASSERT_EQ(answer_->finished.size(), 1u);
  EXPECT_EQ(answer_->finished[0].finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(answer_->finished[0].vote_token(), "vote");
  EXPECT_EQ(answer_->finished[0].seed(), 5u);
  EXPECT_EQ(answer_->finished[0].usage().prompt_tokens(), 3u);
  EXPECT_EQ(answer_->finished[0].usage().completion_tokens(), 3u);
  EXPECT_THAT(backends_->released, ElementsAre(Pair(backends_->ticket_.id, 6)));
  EXPECT_THAT(backends_->ended_sequences, ElementsAre(Pair(FakeBackends::kSequenceId, false)));
}

TEST_F(RequestTest, RecordHoldsWhatWasSampled) {
  StartAnswer(ChatPlan("Hello?"));
  MakeTokens({kHi});
  MakeTokens({kEnd}, v1::FINISH_REASON_STOP);
  const v1::RecordRequest& record = backends_->record_request;
  EXPECT_EQ(record.response_id(), answer_->started[0].response_id());
  EXPECT_THAT(record.token_ids(), ElementsAre(kHi, kEnd));
  EXPECT_THAT(record.sampling_logprobs(), ElementsAre(-3.5f, -1.0f));
  EXPECT_EQ(record.text(), "Hi");
  EXPECT_EQ(record.tenant(), "acme");
  EXPECT_EQ(record.seed(), 5u);
  EXPECT_EQ(record.messages(0).content(), "Hello?");
  EXPECT_EQ(answer_->logprobs, 0) << "the client did not ask for them";
}

TEST_F(RequestTest, LogprobsAreShownWhenAskedFor) {
  RequestPlan plan = ChatPlan("Hello?");
  plan.sampling.set_logprobs(3);
  StartAnswer(std::move(plan));
  EXPECT_EQ(backends_->sequence.sampling().logprobs(), 3u);
  MakeTokens({kHi});
  EXPECT_EQ(answer_->logprobs, 1);
}

TEST_F(RequestTest, AnswerThatCouldNotBeRecordedStillEndsWell) {
  StartAnswer(ChatPlan("Hello?"));
  MakeTokens({kEnd}, v1::FINISH_REASON_STOP);
  Answer(backends_->record, Result<v1::RecordResponse>(Unavailable("no feedback service")));
  ASSERT_EQ(answer_->finished.size(), 1u);
  EXPECT_EQ(answer_->finished[0].vote_token(), "");
}

TEST_F(RequestTest, CharacterOfSeveralTokensComesWhole) {
  StartAnswer(ChatPlan("Hello?"));
  MakeTokens({kHi, kEuroBegin});
  EXPECT_EQ(answer_->text, "Hi");
  EXPECT_THAT(answer_->token_ids, ElementsAre(kHi, kEuroBegin)) << "a token is certain before its text is";
  MakeTokens({kEuroRest, kEuroBegin}, v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(answer_->text, "Hi€\uFFFD") << "no more comes that could complete the last one";
}

TEST_F(RequestTest, NothingIsTakenBehindTheEnd) {
  StartAnswer(ChatPlan("Hello?"));
  MakeTokens({kHi}, v1::FINISH_REASON_LENGTH);
  MakeTokens({kThere}, v1::FINISH_REASON_LENGTH);
  MakeRecord();
  EXPECT_EQ(answer_->text, "Hi");
  EXPECT_EQ(backends_->record_requests.size(), 1u);
}

TEST_F(RequestTest, StopTextEndsTheAnswerAndTheSequence) {
  RequestPlan plan = ChatPlan("Count");
  plan.sampling.add_stop("END");
  StartAnswer(std::move(plan));
  MakeTokens({kOneE});
  EXPECT_EQ(answer_->text, "one ");
  MakeTokens({kNdTwo});
  EXPECT_THAT(backends_->ended_sequences, ElementsAre(Pair(FakeBackends::kSequenceId, true)));
  MakeTokens({kThree});  // Already on its way.
  MakeRecord();
  EXPECT_EQ(answer_->text, "one ");
  ASSERT_EQ(answer_->finished.size(), 1u);
  EXPECT_EQ(answer_->finished[0].finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(answer_->finished[0].usage().completion_tokens(), 2u);
  EXPECT_EQ(backends_->record_request.text(), "one ");
}

TEST_F(RequestTest, HalfAStopTextAtTheEndBelongsToTheAnswer) {
  RequestPlan plan = ChatPlan("Count");
  plan.sampling.add_stop("END");
  StartAnswer(std::move(plan));
  MakeTokens({kOneEn}, v1::FINISH_REASON_LENGTH);
  MakeRecord();
  EXPECT_EQ(answer_->text, "one EN");
  EXPECT_EQ(answer_->finished[0].finish_reason(), v1::FINISH_REASON_LENGTH);
}

TEST_F(RequestTest, SessionComesFirstAndIsStoredWithTheAnswer) {
  RequestPlan plan = ChatPlan("And now?");
  plan.session_id = "s-1";
  Start(std::move(plan));
  Answer(backends_->get_model, Result<ModelInfo>(Model()));
  EXPECT_EQ(backends_->loaded_session, "s-1");
  Session session{.created_ms = 77};
  session.messages.emplace_back().set_content("Earlier");
  session.messages.back().set_role(v1::ROLE_USER);
  Answer(backends_->load_session, Result<Session>(std::move(session)));
  ASSERT_EQ(backends_->render_request.messages_size(), 2);
  EXPECT_EQ(backends_->render_request.messages(0).content(), "Earlier");
  Answer(backends_->render, Result<v1::RenderChatResponse>(Rendered({10})));
  Answer(backends_->acquire, Status::Ok());
  MakeTokens({kHi, kThere}, v1::FINISH_REASON_LENGTH);
  ASSERT_EQ(backends_->saved_turn.size(), 2u);
  EXPECT_EQ(backends_->saved_turn[0].content(), "And now?");
  EXPECT_EQ(backends_->saved_turn[1].content(), "Hi there");
  EXPECT_EQ(backends_->saved_turn[1].role(), v1::ROLE_ASSISTANT);
  Answer(backends_->save_session, Status::Ok());
  MakeRecord();
  EXPECT_EQ(answer_->finished.size(), 1u);
}

TEST_F(RequestTest, UnknownSessionIsANewOneAndABrokenStoreAnError) {
  RequestPlan plan = ChatPlan("Hi");
  plan.session_id = "new";
  Start(std::move(plan));
  Answer(backends_->get_model, Result<ModelInfo>(Model()));
  Answer(backends_->load_session, Result<Session>(NotFound("no session")));
  EXPECT_EQ(backends_->render_request.messages_size(), 1);
  Answer(backends_->render, Result<v1::RenderChatResponse>(Rendered({10})));
  Answer(backends_->acquire, Status::Ok());
  MakeTokens({kHi}, v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(backends_->saved_turn.size(), 2u);
  Answer(backends_->save_session, Unavailable("the store is down"));
  ASSERT_EQ(answer_->failed.size(), 1u);
  EXPECT_EQ(answer_->failed[0].code(), StatusCode::kUnavailable);
}

TEST_F(RequestTest, PassagesEnterThePromptAndTheAnswer) {
  RequestPlan plan = ChatPlan("What?");
  plan.collection = "docs";
  plan.top_n = 4;
  Start(std::move(plan));
  Answer(backends_->get_model, Result<ModelInfo>(Model()));
  EXPECT_EQ(backends_->search_request.query(), "What?");
  EXPECT_EQ(backends_->search_request.top_n(), 4u);
  EXPECT_EQ(backends_->search_request.tenant(), "acme");
  v1::SearchResponse found;
  found.add_results()->set_source("a.txt");
  found.mutable_results(0)->set_text("The passage.");
  Answer(backends_->search, Result<v1::SearchResponse>(std::move(found)));
  EXPECT_EQ(backends_->render_request.messages(0).role(), v1::ROLE_SYSTEM);
  EXPECT_THAT(backends_->render_request.messages(0).content(), HasSubstr("The passage."));
  Answer(backends_->render, Result<v1::RenderChatResponse>(Rendered({10})));
  Answer(backends_->acquire, Status::Ok());
  EXPECT_EQ(answer_->started[0].passages(0).source(), "a.txt");
}

TEST_F(RequestTest, CompletionEncodesItsPromptOrTakesItsTokens) {
  Start(RequestPlan{.prompt = "Once", .parse_special = true});
  Answer(backends_->get_model, Result<ModelInfo>(Model()));
  EXPECT_EQ(backends_->encode_request.text(), "Once");
  EXPECT_TRUE(backends_->encode_request.parse_special());
  Leave();

  Start(RequestPlan{.prompt_token_ids = {4, 5}});
  Answer(backends_->get_model, Result<ModelInfo>(Model()));
  Answer(backends_->acquire, Status::Ok());
  EXPECT_THAT(backends_->sequence.prompt_token_ids(), ElementsAre(4, 5));
  EXPECT_TRUE(backends_->sequence.sampling().has_seed());
}

/// A service may keep its callback, and with it the actor: the actor must then not keep the service in turn.
TEST_F(RequestTest, EndedRequestLetsGoOfItsServicesAndItsClient) {
  StartAnswer(ChatPlan("Hello?"));
  EXPECT_GT(backends_.use_count(), 1);
  MakeTokens({kEnd}, v1::FINISH_REASON_STOP);
  MakeRecord();
  ASSERT_TRUE(answer_->ended());
  EXPECT_TRUE(backends_->tokens) << "the callback is kept";
  EXPECT_EQ(backends_.use_count(), 1);
  EXPECT_EQ(answer_.use_count(), 1);
}

}  // namespace
}  // namespace conclave::router
