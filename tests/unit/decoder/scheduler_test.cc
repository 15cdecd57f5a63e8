#include "services/decoder/scheduler.h"

#include "tests/unit/decoder/scheduler_fixture.h"

namespace conclave::decoder {
namespace {

using ::testing::Test;
using Sizes = std::vector<int64_t>;

TEST_F(SchedulerTest, AnswersUntilMaxTokensAndCountsThem) {
  ASSERT_TRUE(Admit(1, 5, 3).ok());
  EXPECT_EQ(Step(4), Sizes{5});
  EXPECT_EQ(Step(5), Sizes{1});
  EXPECT_FALSE(sink_->End(1).has_value());
  EXPECT_EQ(Step(6), Sizes{1});
  EXPECT_EQ(sink_->Tokens(1), (std::vector<int32_t>{4, 5, 6}));
  const auto end = sink_->End(1);
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(end->error.ok());
  EXPECT_EQ(end->reason, FinishReason::kLength);
  EXPECT_EQ(end->prompt_tokens, 5);
  EXPECT_EQ(end->completion_tokens, 3);
  EXPECT_EQ(end->prompt_us, 10'000);
  EXPECT_EQ(end->decode_us, 20'000);
  EXPECT_FALSE(scheduler_->HasWork());
  EXPECT_EQ(pool_->free_blocks(), pool_->total_blocks());
}

TEST_F(SchedulerTest, EndTokenEndsTheAnswerAndIsReported) {
  SequenceRequest request = Request(sink_, 1, 2, 10);
  request.end_tokens = {7};
  ASSERT_TRUE(scheduler_->Admit(std::move(request)).ok());
  Step(3);
  Step(7);
  EXPECT_EQ(sink_->Tokens(1), (std::vector<int32_t>{3, 7}));
  ASSERT_TRUE(sink_->End(1).has_value());
  EXPECT_EQ(sink_->End(1)->reason, FinishReason::kStop);
}

TEST_F(SchedulerTest, EndTokenIsIgnoredWhenAsked) {
  SequenceRequest request = Request(sink_, 1, 2, 2);
  request.end_tokens = {7};
  request.ignore_end = true;
  ASSERT_TRUE(scheduler_->Admit(std::move(request)).ok());
  Step(7);
  EXPECT_FALSE(sink_->End(1).has_value());
  Step(7);
  EXPECT_EQ(sink_->End(1)->reason, FinishReason::kLength);
}

TEST_F(SchedulerTest, PromptsAreCutIntoChunksAndAnswersKeepFlowing) {
  Restart({.step_tokens = 64}, 16);
  ASSERT_TRUE(Admit(1, 4, 20).ok());
  Step();
  ASSERT_TRUE(Admit(2, 150, 4).ok());
  EXPECT_EQ(Step(), (Sizes{1, 63}));
  EXPECT_EQ(Step(), (Sizes{1, 63}));
  EXPECT_TRUE(sink_->Tokens(2).empty());
  EXPECT_EQ(Step(), (Sizes{1, 24}));
  EXPECT_EQ(sink_->Tokens(2).size(), 1u);
  EXPECT_EQ(sink_->Tokens(1).size(), 4u);
  EXPECT_EQ(Step(), (Sizes{1, 1}));
}

TEST_F(SchedulerTest, ChunksCarryThePromptInOrder) {
  Restart({.step_tokens = 32}, 16);
  SequenceRequest request = Request(sink_, 1, 70, 4);
  const std::vector<int32_t> prompt = request.prompt;
  ASSERT_TRUE(scheduler_->Admit(std::move(request)).ok());
  std::vector<int32_t> seen;
  for (int step = 0; step < 3; ++step) {
    const auto plan = scheduler_->Plan(now_);
    ASSERT_EQ(plan.size(), 1u);
    EXPECT_EQ(plan[0].logits_rows, step == 2 ? 1 : 0);
    seen.insert(seen.end(), plan[0].tokens.begin(), plan[0].tokens.end());
    plan[0].cache->Advance(static_cast<int64_t>(plan[0].tokens.size()));
    if (step < 2) scheduler_->Complete({}, now_);
  }
  EXPECT_EQ(seen, prompt);
}

TEST_F(SchedulerTest, ManyAnswersDoNotStarveAPrompt) {
  Restart({.running_sequences = 64, .step_tokens = 8}, 64);
  for (uint64_t id = 1; id <= 20; ++id) ASSERT_TRUE(Admit(id, 1, 25).ok());
  Step();
  ASSERT_TRUE(Admit(99, 100, 4).ok());
  const Sizes sizes = Step();
  ASSERT_EQ(sizes.size(), 21u);
  EXPECT_EQ(sizes.back(), kLeastChunkTokens);
}

TEST_F(SchedulerTest, JoinsInOrderAndOnlyWhenItsLongestAnswerFits) {
  Restart({}, 4);  // 128 tokens
  ASSERT_TRUE(Admit(1, 30, 34).ok());
  ASSERT_TRUE(Admit(2, 60, 36).ok());  // three blocks: must wait
  ASSERT_TRUE(Admit(3, 2, 2).ok());    // would fit, but is not first
  EXPECT_EQ(Step(), Sizes{30});
  EXPECT_EQ(scheduler_->Snapshot().running, 1);
  EXPECT_EQ(scheduler_->Snapshot().queued, 2);
  EXPECT_EQ(scheduler_->Snapshot().queued_tokens, 96 + 4);
  EXPECT_EQ(scheduler_->Snapshot().kv_bytes_used, 2 * pool_->layout().block_bytes());
  scheduler_->Cancel(sink_.get(), 1);
  EXPECT_EQ(scheduler_->Snapshot().kv_bytes_used, 0);
  EXPECT_EQ(Step(), (Sizes{60, 2}));
  EXPECT_EQ(scheduler_->Snapshot().queued_tokens, 0);
}

TEST_F(SchedulerTest, NoMoreRunThanMay) {
  Restart({.running_sequences = 2}, 16);
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(Admit(id, 2, 2).ok());
  EXPECT_EQ(Step(), (Sizes{2, 2}));
  EXPECT_EQ(Step(), (Sizes{1, 1}));
  EXPECT_EQ(Step(), Sizes{2});
}

TEST_F(SchedulerTest, CancelledSequenceCostsNothingFromTheNextStepOn) {
  ASSERT_TRUE(Admit(1, 3, 9).ok());
  ASSERT_TRUE(Admit(2, 3, 9).ok());
  Step();
  scheduler_->Cancel(sink_.get(), 1);
  EXPECT_EQ(sink_->End(1)->reason, FinishReason::kCancelled);
  EXPECT_EQ(sink_->End(1)->completion_tokens, 1);
  EXPECT_EQ(Step(), Sizes{1});
  scheduler_->Cancel(sink_.get(), 1);  // Not known any more: ignored.
  scheduler_->Cancel(sink_.get(), 77);
  EXPECT_FALSE(sink_->End(2).has_value());
}

TEST_F(SchedulerTest, CancelOfAWaitingSequenceFreesItsPlaceInTheQueue) {
  ASSERT_TRUE(Admit(1, 5, 7).ok());
  scheduler_->Cancel(sink_.get(), 1);
  EXPECT_EQ(sink_->End(1)->reason, FinishReason::kCancelled);
  EXPECT_EQ(sink_->End(1)->prompt_tokens, 5);
  EXPECT_EQ(scheduler_->Snapshot().queued_tokens, 0);
  EXPECT_FALSE(scheduler_->HasWork());
}

TEST_F(SchedulerTest, ClosedStreamLosesItsSequencesAndNoOthers) {
  Restart({.running_sequences = 3}, 16);
  auto other = std::make_shared<CollectingSink>();
  ASSERT_TRUE(Admit(1, 2, 9).ok());
  ASSERT_TRUE(scheduler_->Admit(Request(other, 1, 2, 9)).ok());  // Ids are each stream's own.
  ASSERT_TRUE(Admit(2, 2, 9).ok());
  Step();
  ASSERT_TRUE(Admit(3, 2, 9).ok());
  const size_t told = sink_->deliveries.size();
  scheduler_->CancelAll(sink_.get());
  EXPECT_EQ(Step(), Sizes{1});
  EXPECT_EQ(sink_->deliveries.size(), told);
  EXPECT_EQ(other->Tokens(1).size(), 2u);
  EXPECT_EQ(scheduler_->Snapshot().queued_tokens, 0);
}

TEST_F(SchedulerTest, OneStepIsOneDeliveryAStream) {
  auto other = std::make_shared<CollectingSink>();
  ASSERT_TRUE(Admit(1, 2, 1).ok());
  ASSERT_TRUE(scheduler_->Admit(Request(other, 5, 2, 1)).ok());
  ASSERT_TRUE(Admit(2, 2, 1).ok());
  Step();
  ASSERT_EQ(sink_->deliveries.size(), 1u);
  EXPECT_EQ(sink_->deliveries[0].size(), 2u);  // The last token and the end are one event.
  ASSERT_EQ(other->deliveries.size(), 1u);
  EXPECT_EQ(other->deliveries[0].size(), 1u);
}

TEST_F(SchedulerTest, FailedStepEndsItsSequencesWithTheError) {
  Restart({.running_sequences = 2}, 16);
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(Admit(id, 2, 5).ok());
  (void)scheduler_->Plan(now_);
  scheduler_->Fail(Unavailable("a shard is gone"));
  EXPECT_EQ(sink_->End(1)->error.code(), StatusCode::kUnavailable);
  EXPECT_EQ(sink_->End(2)->error.message(), "a shard is gone");
  EXPECT_FALSE(sink_->End(3).has_value());
  EXPECT_EQ(Step(), Sizes{2});
  EXPECT_EQ(sink_->Tokens(3).size(), 1u);
}

TEST_F(SchedulerTest, OneSequenceWithoutAFiniteLogitFailsAlone) {
  ASSERT_TRUE(Admit(1, 2, 5).ok());
  ASSERT_TRUE(Admit(2, 2, 5).ok());
  for (const auto& part : scheduler_->Plan(now_)) part.cache->Advance(2);
  scheduler_->Complete(
      {{.tokens = {}, .error = Internal("no finite logit")}, {.tokens = {{.token_id = 3}}, .error = {}}},
      now_);
  EXPECT_EQ(sink_->End(1)->error.code(), StatusCode::kInternal);
  EXPECT_EQ(sink_->Tokens(2), std::vector<int32_t>{3});
  EXPECT_FALSE(sink_->End(2).has_value());
}

}  // namespace
}  // namespace conclave::decoder
