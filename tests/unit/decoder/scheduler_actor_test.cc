#include "services/decoder/scheduler_actor.h"

#include "tests/unit/decoder/scheduler_actor_fixture.h"

namespace conclave::decoder {
namespace {

TEST_F(SchedulerActorTest, StepsAsLongAsThereIsWorkAndNoLonger) {
  EXPECT_FALSE(actors_.HasWork());
  Admit(sink_, 1, 5, 7);
  actors_.Run();
  EXPECT_EQ(sink_->Tokens(1).size(), 7u);
  ASSERT_TRUE(sink_->End(1).has_value());
  EXPECT_EQ(sink_->End(1)->reason, FinishReason::kLength);
  EXPECT_FALSE(actors_.HasWork());
  Admit(sink_, 2, 5, 3);
  actors_.Run();
  EXPECT_EQ(sink_->Tokens(2).size(), 3u) << "it did not wake up again";
}

TEST_F(SchedulerActorTest, OneStepIsUnderWayHoweverManyAreAdmitted) {
  for (uint64_t id = 1; id <= 5; ++id) Admit(sink_, id, 2, 4);
  int messages = 0;
  while (actors_.RunOne()) ++messages;
  for (uint64_t id = 1; id <= 5; ++id) EXPECT_EQ(sink_->Tokens(id).size(), 4u);
  EXPECT_EQ(messages, 5 + 4) << "five admissions, and four steps that the sequences share";
}

TEST_F(SchedulerActorTest, NewSequenceJoinsTheNextStep) {
  Admit(sink_, 1, 5, 100);
  ASSERT_TRUE(RunUntilTokens(1, 3));
  Admit(sink_, 2, 5, 100);
  ASSERT_TRUE(RunUntilTokens(2, 1));
  EXPECT_LE(sink_->Tokens(1).size(), 3u + 2) << "one step was waiting already, the next one has both";
  ASSERT_TRUE(RunUntilTokens(2, 4));
  EXPECT_LE(sink_->Tokens(1).size(), 3u + 5) << "both get a token a step";
}

TEST_F(SchedulerActorTest, CancelledSequenceLeavesWithinOneStep) {
  Admit(sink_, 1, 5, 100);
  Admit(sink_, 2, 5, 30);
  ASSERT_TRUE(RunUntilTokens(1, 3));
  caf::anon_send(actor_, CancelMessage{sink_, 1});
  actors_.Run();
  ASSERT_TRUE(sink_->End(1).has_value());
  EXPECT_EQ(sink_->End(1)->reason, FinishReason::kCancelled);
  EXPECT_LE(sink_->Tokens(1).size(), 3u + 1);
  EXPECT_EQ(sink_->Tokens(2).size(), 30u);
  EXPECT_EQ(Snapshot().kv_bytes_used, 0);
}

TEST_F(SchedulerActorTest, ClosedStreamIsToldNothingAndOthersGoOn) {
  auto other = std::make_shared<CollectingSink>();
  Admit(sink_, 1, 5, 100);
  Admit(other, 1, 5, 30);
  ASSERT_TRUE(RunUntilTokens(1, 3));
  caf::anon_send(actor_, CloseMessage{sink_});
  actors_.Run();
  EXPECT_FALSE(sink_->End(1).has_value());
  EXPECT_LE(sink_->Tokens(1).size(), 3u + 1);
  EXPECT_EQ(other->Tokens(1).size(), 30u);
  EXPECT_EQ(sink_.use_count(), 1) << "the closed stream is still held";
}

TEST_F(SchedulerActorTest, DrainRefusesNewSequencesAndFinishesRunningOnes) {
  Admit(sink_, 1, 5, 20);
  ASSERT_TRUE(RunUntilTokens(1, 3));
  caf::anon_send(actor_, DrainMessage{});
  Admit(sink_, 2, 6, 20);
  actors_.Run();
  ASSERT_TRUE(sink_->End(2).has_value());
  EXPECT_EQ(sink_->End(2)->error.code(), StatusCode::kUnavailable);
  EXPECT_EQ(sink_->End(2)->prompt_tokens, 6);
  EXPECT_TRUE(sink_->Tokens(2).empty());
  EXPECT_EQ(sink_->Tokens(1).size(), 20u);
  EXPECT_EQ(sink_->End(1)->reason, FinishReason::kLength);
}

TEST_F(SchedulerActorTest, FullQueueRefusesOneSequenceAndKeepsTheOthers) {
  Restart({.running_sequences = 1, .queued_sequences = 2});
  for (uint64_t id = 1; id <= 3; ++id) Admit(sink_, id, 5, 4);
  actors_.Run();
  ASSERT_TRUE(sink_->End(3).has_value());
  EXPECT_EQ(sink_->End(3)->error.code(), StatusCode::kResourceExhausted);
  EXPECT_GT(sink_->End(3)->error.retry_after_ms(), 0);
  for (const uint64_t id : {1u, 2u}) EXPECT_EQ(sink_->Tokens(id).size(), 4u) << id;
}

TEST_F(SchedulerActorTest, RefusedSequenceWakesNobody) {
  Admit(sink_, 1, 0, 4);
  ASSERT_TRUE(actors_.RunOne());
  EXPECT_EQ(sink_->End(1)->error.code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(actors_.HasWork());
}

TEST_F(SchedulerActorTest, SnapshotCountsWhatRunsAndWaits) {
  Restart({.running_sequences = 1});
  Admit(sink_, 1, 5, 100);
  Admit(sink_, 2, 6, 10);
  ASSERT_TRUE(RunUntilTokens(1, 3));
  SchedulerStatus seen;
  caf::anon_send(actor_, SnapshotMessage{[&](const SchedulerStatus& status) { seen = status; }});
  while (seen.running == 0 && actors_.RunOne()) {
  }
  EXPECT_EQ(seen.running, 1);
  EXPECT_EQ(seen.queued, 1);
  EXPECT_EQ(seen.queued_tokens, 16);
  EXPECT_GT(seen.kv_bytes_used, 0);
}

TEST_F(SchedulerActorTest, FailedStepEndsExactlyTheSequencesOfThatStep) {
  Restart({.running_sequences = 2});
  auto other = std::make_shared<CollectingSink>();
  Admit(sink_, 1, 5, 20);
  Admit(other, 1, 5, 20);
  Admit(sink_, 3, 5, 20);  // Waits for a place.
  ASSERT_TRUE(RunUntilTokens(1, 4));
  int64_t failures = 1;
  decoder_->feed_forward->hook = [&](int64_t layer) {
    return layer == 1 && failures-- > 0 ? Unavailable("a shard is gone") : Status::Ok();
  };
  actors_.Run();
  for (const auto& sink : {sink_, other}) {
    ASSERT_TRUE(sink->End(1).has_value());
    EXPECT_EQ(sink->End(1)->error, Unavailable("a shard is gone"));
    EXPECT_EQ(sink->End(1)->completion_tokens, 4);
    EXPECT_EQ(sink->Tokens(1).size(), 4u);
  }
  EXPECT_TRUE(sink_->End(3)->error.ok());
  EXPECT_EQ(sink_->Tokens(3).size(), 20u);
  EXPECT_EQ(Snapshot().kv_bytes_used, 0);
}

TEST_F(SchedulerActorTest, FailedPromptChunkEndsItsSequenceAndNotOneThatHadNoPartInTheStep) {
  Restart({.step_tokens = 32});
  Admit(sink_, 1, 100, 20);
  Admit(sink_, 2, 100, 20);  // Has its place, but the first one's chunks fill the steps.
  int64_t steps = 0;
  decoder_->feed_forward->hook = [&](int64_t layer) {
    if (layer == 0) ++steps;
    return steps == 2 ? DeadlineExceeded("a shard is silent") : Status::Ok();
  };
  actors_.Run();
  ASSERT_TRUE(sink_->End(1).has_value());
  EXPECT_EQ(sink_->End(1)->error.code(), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(sink_->Tokens(1).empty());
  EXPECT_TRUE(sink_->End(2)->error.ok());
  EXPECT_EQ(sink_->Tokens(2).size(), 20u);
}

}  // namespace
}  // namespace conclave::decoder
