#include "services/decoder/scheduler_actor.h"
#include "tests/unit/decoder/scheduler_actor_fixture.h"

namespace conclave::decoder {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPauseLimit{kLongestPauseMs};

/// The actor with streams that are not ready for more. Every Run ends only because the actor does not step
/// while it has nothing to compute.
class SchedulerPauseTest : public SchedulerActorTest {
 protected:
  /// The tokens of a sequence that nobody disturbs.
  std::vector<int32_t> Undisturbed(int64_t prompt, int64_t max_tokens) {
    auto alone = std::make_shared<CollectingSink>();
    Admit(alone, 1, prompt, max_tokens);
    actors_.Run();
    return alone->Tokens(1);
  }

  /// Runs the sequence 1 of `sink_` for a few tokens and pauses it.
  void PauseAfterThreeTokens() {
    Admit(sink_, 1, 5, 40);
    ASSERT_TRUE(RunUntilTokens(1, 3));
    sink_->ready = false;
    actors_.Run();
    ASSERT_EQ(Snapshot().paused, 1);
  }

  void Resume(const std::shared_ptr<CollectingSink>& sink) {
    sink->ready = true;
    caf::anon_send(actor_, ReadyMessage{});
    actors_.Run();
  }
};

TEST_F(SchedulerPauseTest, SleepsUntilItsReaderIsReadyAndGoesOnWithTheSameTokens) {
  const std::vector<int32_t> expected = Undisturbed(5, 40);
  PauseAfterThreeTokens();
  EXPECT_EQ(sink_->Tokens(1).size(), 3u);
  EXPECT_FALSE(actors_.HasWork());
  Resume(sink_);
  EXPECT_EQ(sink_->Tokens(1), expected);
  EXPECT_EQ(sink_->End(1)->reason, FinishReason::kLength);
}

TEST_F(SchedulerPauseTest, OthersGoOnWithTheSameTokensWhileOneIsPaused) {
  const std::vector<int32_t> expected = Undisturbed(7, 30);
  PauseAfterThreeTokens();
  auto other = std::make_shared<CollectingSink>();
  Admit(other, 1, 7, 30);
  actors_.Run();
  EXPECT_EQ(other->Tokens(1), expected);
  EXPECT_EQ(sink_->Tokens(1).size(), 3u);
}

TEST_F(SchedulerPauseTest, ReaderThatNeverReadsIsEndedAlthoughNothingElseHappens) {
  PauseAfterThreeTokens();
  EXPECT_GT(Snapshot().kv_bytes_used, 0);
  actors_.Advance(kPauseLimit - milliseconds(1));
  actors_.Run();
  EXPECT_TRUE(sink_->aborted.empty());
  actors_.Advance(milliseconds(1));
  actors_.Run();
  ASSERT_EQ(sink_->aborted.size(), 1u);
  EXPECT_EQ(sink_->aborted[0].code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Snapshot().running, 0);
  EXPECT_EQ(Snapshot().kv_bytes_used, 0);
  EXPECT_FALSE(actors_.HasTimer()) << "there is nobody left to wake up for";
}

TEST_F(SchedulerPauseTest, AlarmOfAReaderThatReadOnDoesNotShortenTheNextPause) {
  PauseAfterThreeTokens();
  actors_.Advance(kPauseLimit / 2);
  sink_->ready = true;
  caf::anon_send(actor_, ReadyMessage{});
  ASSERT_TRUE(RunUntilTokens(1, 6));
  sink_->ready = false;
  actors_.Run();
  actors_.Advance(kPauseLimit - milliseconds(1));  // The first alarm is due in between.
  actors_.Run();
  EXPECT_TRUE(sink_->aborted.empty());
  actors_.Advance(milliseconds(1));
  actors_.Run();
  EXPECT_EQ(sink_->aborted.size(), 1u);
}

TEST_F(SchedulerPauseTest, CancelledWhilePausedMakesRoomForTheNext) {
  Restart({.running_sequences = 1});
  PauseAfterThreeTokens();
  auto other = std::make_shared<CollectingSink>();
  Admit(other, 1, 5, 4);
  actors_.Run();
  EXPECT_TRUE(other->Tokens(1).empty());
  caf::anon_send(actor_, CancelMessage{sink_, 1});
  actors_.Run();
  EXPECT_EQ(sink_->End(1)->reason, FinishReason::kCancelled);
  EXPECT_EQ(other->Tokens(1).size(), 4u);
}

TEST_F(SchedulerPauseTest, ClosedWhilePausedMakesRoomForTheNext) {
  Restart({.running_sequences = 1});
  PauseAfterThreeTokens();
  auto other = std::make_shared<CollectingSink>();
  Admit(other, 1, 5, 4);
  caf::anon_send(actor_, CloseMessage{sink_});
  actors_.Run();
  EXPECT_EQ(other->Tokens(1).size(), 4u);
  EXPECT_EQ(sink_.use_count(), 1) << "the closed stream is still held";
}

TEST_F(SchedulerPauseTest, DrainWaitsForAPausedSequenceAndRefusesNewOnes) {
  PauseAfterThreeTokens();
  caf::anon_send(actor_, DrainMessage{});
  Admit(sink_, 2, 5, 4);
  actors_.Run();
  EXPECT_EQ(sink_->End(2)->error.code(), StatusCode::kUnavailable);
  EXPECT_EQ(Snapshot().running, 1);
  Resume(sink_);
  EXPECT_EQ(sink_->Tokens(1).size(), 40u);
  EXPECT_EQ(Snapshot().running, 0);
}

TEST_F(SchedulerPauseTest, AlarmThatIsSetKeepsNeitherEngineNorCacheAlive) {
  PauseAfterThreeTokens();
  ASSERT_TRUE(actors_.HasTimer());
  End();
  EXPECT_EQ(decoder_->scheduler.use_count(), 1);
  EXPECT_EQ(decoder_->runner.use_count(), 1);
}

}  // namespace
}  // namespace conclave::decoder
