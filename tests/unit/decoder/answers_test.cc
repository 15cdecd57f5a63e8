#include <set>

#include "tests/unit/decoder/scheduler_fixture.h"

namespace conclave::decoder {
namespace {

using Sizes = std::vector<int64_t>;

/// Several answers to one prompt; the test takes the engine's part.
class AnswersTest : public SchedulerTest {
 protected:
  Status AdmitAnswers(int64_t answers, int64_t prompt_tokens, int64_t max_tokens) {
    SequenceRequest request = Request(sink_, 1, prompt_tokens, max_tokens);
    for (int64_t i = 1; i < answers; ++i) request.further.push_back({.id = 1 + static_cast<uint64_t>(i)});
    return scheduler_->Admit(std::move(request));
  }

  void ExpectEmpty() const {
    EXPECT_FALSE(scheduler_->HasWork());
    EXPECT_EQ(pool_->free_blocks(), pool_->total_blocks());
    EXPECT_EQ(scheduler_->Snapshot().queued_tokens, 0);
    EXPECT_EQ(scheduler_->Snapshot().queued, 0);
  }
};

TEST_F(AnswersTest, PromptIsComputedOnceWhateverItsLength) {
  for (const int64_t prompt : {1, 31, 32, 33, 64, 70}) {
    Restart({.step_tokens = 48}, 40);
    sink_ = std::make_shared<CollectingSink>();
    ASSERT_TRUE(AdmitAnswers(4, prompt, 3).ok());
    int64_t computed = 0;
    while (sink_->Tokens(1).empty()) {
      for (const int64_t size : Step()) computed += size;
    }
    EXPECT_EQ(computed, prompt);
    EXPECT_EQ(Step(), (Sizes{1, 1, 1, 1}));
    EXPECT_EQ(scheduler_->Snapshot().totals.prompt_tokens, prompt);
    EXPECT_EQ(scheduler_->Snapshot().totals.cached_prompt_tokens, 3 * prompt);
    Step();
    for (uint64_t id = 1; id <= 4; ++id) {
      EXPECT_EQ(sink_->Tokens(id).size(), 3u);
      EXPECT_EQ(sink_->End(id)->cached_prompt_tokens, id == 1 ? 0 : prompt);
    }
    ExpectEmpty();
  }
}

TEST_F(AnswersTest, BlocksThatThePromptFillsAreHeldOnceAndOthersByEach) {
  ASSERT_TRUE(AdmitAnswers(3, 70, 10).ok());
  Step();
  EXPECT_EQ(pool_->total_blocks() - pool_->free_blocks(), 2 + 3);
  std::set<int32_t> last_blocks;
  for (const engine::SequenceStep& part : scheduler_->Plan(now_)) {
    ASSERT_EQ(part.cache->blocks().size(), 3u);
    EXPECT_EQ(pool_->references(part.cache->blocks()[0]), 3);
    EXPECT_EQ(pool_->references(part.cache->blocks()[2]), 1);
    last_blocks.insert(part.cache->blocks()[2]);
  }
  EXPECT_EQ(last_blocks.size(), 3u) << "nobody writes where another reads";
}

TEST_F(AnswersTest, AnswerThatEndsAtOnceLeavesTheOthersTheirPrompt) {
  SequenceRequest request = Request(sink_, 1, 40, 5);
  request.further = {{.id = 2}};
  request.end_tokens = {7};
  ASSERT_TRUE(scheduler_->Admit(std::move(request)).ok());
  for (const engine::SequenceStep& part : scheduler_->Plan(now_)) part.cache->Advance(40);
  scheduler_->Complete(
      {{.tokens = {{.token_id = 7}}, .error = {}}, {.tokens = {{.token_id = 3}}, .error = {}}}, now_);
  EXPECT_EQ(sink_->End(1)->reason, FinishReason::kStop);
  EXPECT_EQ(Step(), Sizes{1});
}

TEST_F(AnswersTest, AnswerThatFailsLeavesTheOthers) {
  ASSERT_TRUE(AdmitAnswers(2, 40, 3).ok());
  for (const engine::SequenceStep& part : scheduler_->Plan(now_)) part.cache->Advance(40);
  scheduler_->Complete(
      {{.tokens = {}, .error = Internal("broken")}, {.tokens = {{.token_id = 3}}, .error = {}}}, now_);
  EXPECT_EQ(sink_->End(1)->error.code(), StatusCode::kInternal);
  EXPECT_EQ(Step(), Sizes{1});
  Step();
  EXPECT_TRUE(sink_->End(2)->error.ok());
  ExpectEmpty();
}

TEST_F(AnswersTest, StepThatFailsInThePromptFailsAllAnswersToIt) {
  Restart({.step_tokens = 32}, 16);
  ASSERT_TRUE(AdmitAnswers(3, 70, 3).ok());
  Step();
  (void)scheduler_->Plan(now_);
  scheduler_->Fail(Unavailable("a shard is gone"));
  for (uint64_t id = 1; id <= 3; ++id)
    EXPECT_EQ(sink_->End(id)->error.code(), StatusCode::kUnavailable) << id;
  ExpectEmpty();
}

TEST_F(AnswersTest, WhenTheFirstIsCancelledInThePromptTheNextGoesOnWithIt) {
  Restart({.step_tokens = 32}, 16);
  ASSERT_TRUE(AdmitAnswers(3, 70, 3).ok());
  EXPECT_EQ(Step(), Sizes{32});
  scheduler_->Cancel(sink_.get(), 1);
  EXPECT_EQ(sink_->End(1)->reason, FinishReason::kCancelled);
  EXPECT_EQ(Step(), Sizes{32});
  scheduler_->Cancel(sink_.get(), 3);
  EXPECT_EQ(Step(), Sizes{6});
  EXPECT_EQ(Step(), Sizes{1});
  Step();
  EXPECT_EQ(sink_->Tokens(2).size(), 3u);
  EXPECT_EQ(scheduler_->Snapshot().totals.prompt_tokens, 70);
  ExpectEmpty();
}

TEST_F(AnswersTest, EachIsCancelledAloneWhileTheyWait) {
  Restart({.running_sequences = 3}, 16);
  ASSERT_TRUE(scheduler_->Admit(Request(sink_, 9, 3, 30)).ok());
  Step();
  ASSERT_TRUE(AdmitAnswers(3, 10, 5).ok());
  EXPECT_EQ(Step(), Sizes{1}) << "two places are free, and three answers run together or not at all";
  EXPECT_EQ(scheduler_->Snapshot().queued, 3);
  EXPECT_EQ(scheduler_->Snapshot().queued_tokens, 10 + 3 * 5);
  scheduler_->Cancel(sink_.get(), 1);
  scheduler_->Cancel(sink_.get(), 1);  // Not known any more: ignored.
  EXPECT_EQ(sink_->End(1)->reason, FinishReason::kCancelled);
  EXPECT_EQ(scheduler_->Snapshot().queued_tokens, 10 + 2 * 5);
  EXPECT_EQ(Step(), (Sizes{1, 10}));
  EXPECT_EQ(sink_->Tokens(2).size(), 1u);
  EXPECT_EQ(sink_->Tokens(3).size(), 1u);
  scheduler_->CancelAll(sink_.get());
  ExpectEmpty();
}

TEST_F(AnswersTest, WaitUntilThereIsRoomForAll) {
  Restart({}, 4);
  ASSERT_TRUE(scheduler_->Admit(Request(sink_, 9, 20, 2)).ok());
  Step();
  ASSERT_TRUE(AdmitAnswers(3, 40, 4).ok()) << "one block is shared, and each has one of its own";
  EXPECT_EQ(Step(), Sizes{1});
  EXPECT_EQ(Step(), Sizes{40});
}

TEST_F(AnswersTest, TooManyAreRefused) {
  EXPECT_EQ(AdmitAnswers(kMostAnswers + 1, 3, 3).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(AdmitAnswers(kMostAnswers, 40, 200).code(), StatusCode::kOutOfRange)
      << "never fits into 16 blocks";
  Restart({.running_sequences = 3}, 16);
  EXPECT_EQ(AdmitAnswers(4, 3, 3).code(), StatusCode::kOutOfRange);
  EXPECT_TRUE(AdmitAnswers(3, 3, 3).ok());
  SequenceRequest twice = Request(std::make_shared<CollectingSink>(), 1, 3, 3);
  twice.further = {{.id = 2}, {.id = 2}};
  EXPECT_EQ(scheduler_->Admit(std::move(twice)).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(scheduler_->Admit(Request(sink_, 3, 3, 3)).code(), StatusCode::kAlreadyExists);
}

TEST_F(AnswersTest, CountInTheQueue) {
  Restart({.running_sequences = 4, .queued_sequences = 4}, 16);
  ASSERT_TRUE(scheduler_->Admit(Request(sink_, 9, 3, 3)).ok());
  EXPECT_EQ(AdmitAnswers(4, 3, 3).code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(AdmitAnswers(3, 3, 3).ok());
}

TEST_F(AnswersTest, AnotherRequestDoesNotWaitForThoseThatComputeNothing) {
  Restart({.step_tokens = 64, .prefix_cache_bytes = 1 << 20}, 16);
  ASSERT_TRUE(AdmitAnswers(3, 70, 2).ok());
  EXPECT_EQ(Step(), Sizes{64});
  ASSERT_TRUE(scheduler_->Admit(Request(sink_, 9, 70, 2)).ok());
  EXPECT_EQ(Step(), (Sizes{6, 6}));
}

}  // namespace
}  // namespace conclave::decoder
