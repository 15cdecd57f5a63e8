#include "services/decoder/scheduler.h"
#include "tests/unit/decoder/scheduler_fixture.h"

namespace conclave::decoder {
namespace {

using std::chrono::milliseconds;
using Sizes = std::vector<int64_t>;

constexpr milliseconds kLongestPause{kLongestPauseMs};

/// Streams that are not ready for more.
class PauseTest : public SchedulerTest {
 protected:
  PauseTest() { Restart({}, 16); }

  Status AdmitOther(uint64_t id, int64_t prompt_tokens, int64_t max_tokens) {
    return scheduler_->Admit(Request(other_, id, prompt_tokens, max_tokens));
  }

  std::shared_ptr<CollectingSink> other_ = std::make_shared<CollectingSink>();
};

TEST_F(PauseTest, PausedStreamIsLeftOutAndKeepsItsPlace) {
  ASSERT_TRUE(Admit(1, 3, 9).ok());
  ASSERT_TRUE(Admit(2, 3, 9).ok());
  ASSERT_TRUE(AdmitOther(1, 3, 9).ok());
  EXPECT_EQ(Step(4), (Sizes{3, 3, 3}));
  const SchedulerStatus before = scheduler_->Snapshot();
  EXPECT_EQ(before.paused, 0);
  sink_->ready = false;
  EXPECT_EQ(Step(5), Sizes{1});
  EXPECT_EQ(Step(6), Sizes{1});
  const SchedulerStatus during = scheduler_->Snapshot();
  EXPECT_EQ(during.running, 3);
  EXPECT_EQ(during.paused, 2);
  EXPECT_EQ(during.kv_bytes_used, before.kv_bytes_used);
  sink_->ready = true;
  EXPECT_EQ(Step(7), (Sizes{1, 1, 1}));
  for (const uint64_t id : {1u, 2u}) EXPECT_EQ(sink_->Tokens(id), (std::vector<int32_t>{4, 7}));
  EXPECT_EQ(other_->Tokens(1), (std::vector<int32_t>{4, 5, 6, 7}));
  EXPECT_EQ(scheduler_->Snapshot().paused, 0);
}

TEST_F(PauseTest, NothingIsPlannedWhenAllArePaused) {
  ASSERT_TRUE(Admit(1, 3, 9).ok());
  EXPECT_FALSE(scheduler_->PauseEnds().has_value());
  Step();
  EXPECT_FALSE(scheduler_->PauseEnds().has_value());
  sink_->ready = false;
  const auto paused = now_;
  EXPECT_EQ(Step(), Sizes{});
  EXPECT_EQ(Step(), Sizes{});
  EXPECT_TRUE(scheduler_->HasWork());
  EXPECT_EQ(scheduler_->PauseEnds(), paused + kLongestPause);
}

TEST_F(PauseTest, StreamIsAskedOnceAStepHoweverManySequencesItHas) {
  for (uint64_t id = 1; id <= 5; ++id) ASSERT_TRUE(Admit(id, 3, 9).ok());
  Step();
  Step();
  EXPECT_EQ(sink_->asked, 2);
}

TEST_F(PauseTest, PromptPausesBetweenItsChunks) {
  Restart({.step_tokens = 32}, 16);
  ASSERT_TRUE(Admit(1, 70, 4).ok());
  EXPECT_EQ(Step(), Sizes{32});
  sink_->ready = false;
  EXPECT_EQ(Step(), Sizes{});
  sink_->ready = true;
  EXPECT_EQ(Step(), Sizes{32});
  EXPECT_EQ(Step(), Sizes{6});
  EXPECT_EQ(sink_->Tokens(1).size(), 1u);
}

TEST_F(PauseTest, WaitingSequenceOfAPausedStreamHoldsUpNobodyAndKeepsItsTurn) {
  Restart({.running_sequences = 1}, 16);
  sink_->ready = false;
  ASSERT_TRUE(Admit(1, 3, 9).ok());
  ASSERT_TRUE(AdmitOther(2, 4, 1).ok());
  ASSERT_TRUE(AdmitOther(3, 5, 1).ok());
  EXPECT_EQ(Step(), Sizes{4});
  EXPECT_EQ(scheduler_->Snapshot().queued, 2);
  sink_->ready = true;
  EXPECT_EQ(Step(), Sizes{3}) << "it came before the one that still waits";
}

TEST_F(PauseTest, ReaderThatTakesNothingLosesItsStreamAndTheCacheGoesToOthers) {
  Restart({}, 4);
  ASSERT_TRUE(Admit(1, 30, 98).ok());  // the whole cache
  Step();
  ASSERT_TRUE(AdmitOther(1, 20, 2).ok());
  sink_->ready = false;
  EXPECT_EQ(Step(), Sizes{});
  now_ = *scheduler_->PauseEnds() - milliseconds(1);
  EXPECT_EQ(Step(), Sizes{});
  EXPECT_TRUE(sink_->aborted.empty());
  now_ = *scheduler_->PauseEnds();
  EXPECT_EQ(Step(), Sizes{20});
  ASSERT_EQ(sink_->aborted.size(), 1u);
  EXPECT_EQ(sink_->aborted[0].code(), StatusCode::kResourceExhausted);
  EXPECT_FALSE(scheduler_->PauseEnds().has_value());
  Step();
  EXPECT_EQ(other_->End(1)->reason, FinishReason::kLength);
  EXPECT_EQ(pool_->free_blocks(), pool_->total_blocks());
  EXPECT_FALSE(scheduler_->HasWork());
}

TEST_F(PauseTest, WaitingSequencesOfAReaderThatTakesNothingGoToo) {
  sink_->ready = false;
  ASSERT_TRUE(Admit(1, 3, 9).ok());
  Step();
  EXPECT_EQ(scheduler_->Snapshot().queued, 1) << "it would hold cache for nothing";
  now_ = *scheduler_->PauseEnds();
  Step();
  EXPECT_EQ(sink_->aborted.size(), 1u);
  EXPECT_EQ(scheduler_->Snapshot().queued_tokens, 0);
  EXPECT_FALSE(scheduler_->HasWork());
}

TEST_F(PauseTest, ReaderThatReadOnInTimeHasAllItsTimeAgain) {
  ASSERT_TRUE(Admit(1, 3, 9).ok());
  Step();
  for (int pause = 0; pause < 3; ++pause) {
    sink_->ready = false;
    Step();
    now_ = *scheduler_->PauseEnds() - milliseconds(1);
    EXPECT_EQ(Step(), Sizes{});
    sink_->ready = true;
    EXPECT_EQ(Step(), Sizes{1});
    EXPECT_FALSE(scheduler_->PauseEnds().has_value());
  }
  EXPECT_TRUE(sink_->aborted.empty());
}

TEST_F(PauseTest, PausesEndOneAfterTheOther) {
  ASSERT_TRUE(Admit(1, 3, 9).ok());
  ASSERT_TRUE(AdmitOther(1, 3, 9).ok());
  sink_->ready = false;
  const auto first = now_;
  Step();
  other_->ready = false;
  const auto second = now_;
  Step();
  EXPECT_EQ(scheduler_->PauseEnds(), first + kLongestPause);
  now_ = first + kLongestPause;
  Step();
  EXPECT_EQ(sink_->aborted.size(), 1u);
  EXPECT_TRUE(other_->aborted.empty());
  EXPECT_EQ(scheduler_->PauseEnds(), second + kLongestPause);
}

TEST_F(PauseTest, CancelledWhilePausedIsToldAndFreesItsCache) {
  ASSERT_TRUE(Admit(1, 3, 9).ok());
  Step();
  sink_->ready = false;
  Step();
  scheduler_->Cancel(sink_.get(), 1);
  ASSERT_TRUE(sink_->End(1).has_value());
  EXPECT_EQ(sink_->End(1)->reason, FinishReason::kCancelled);
  EXPECT_EQ(sink_->End(1)->completion_tokens, 1);
  EXPECT_EQ(pool_->free_blocks(), pool_->total_blocks());
  EXPECT_EQ(Step(), Sizes{});
  EXPECT_FALSE(scheduler_->PauseEnds().has_value()) << "nobody waits for the reader any more";
}

TEST_F(PauseTest, ClosedWhilePausedIsForgottenAndNotKeptAlive) {
  ASSERT_TRUE(Admit(1, 3, 9).ok());
  Step();
  sink_->ready = false;
  Step();
  scheduler_->CancelAll(sink_.get());
  EXPECT_EQ(sink_.use_count(), 1);
  EXPECT_EQ(pool_->free_blocks(), pool_->total_blocks());
  now_ += 2 * kLongestPause;
  Step();
  EXPECT_TRUE(sink_->aborted.empty());
}

}  // namespace
}  // namespace conclave::decoder
