#include <gmock/gmock.h>

#include "services/decoder/decoder_service.h"
#include "tests/unit/decoder/service_fixture.h"

namespace conclave::decoder {
namespace {

/// Clients that do not read what their stream brings.
class DecoderPauseTest : public DecoderServiceTest {
 protected:
  /// More steps than a stream holds without its reader.
  static constexpr uint32_t kManyTokens = 3000;
  /// Fewer steps than fill half of a stream's queue: such an answer never pauses.
  static constexpr uint32_t kFewTokens = platform::kDefaultQueuedMessages / 2 - 1;

  /// A client with an endless answer that reads nothing, and is paused.
  std::unique_ptr<GenerateClient> Sleeping() {
    auto client = std::make_unique<GenerateClient>(*stub_);
    client->Admit(Sequence(1, {1, 2}, kEndless));
    EXPECT_TRUE(Pauses(1)) << "nobody reads, and the sequence still runs";
    return client;
  }
};

TEST_F(DecoderPauseTest, SlowReaderGetsTheTokensOfAFastOne) {
  v1::AdmitSequence sequence = Sequence(1, {1, 2, 3}, kManyTokens);
  sequence.mutable_sampling()->set_temperature(2.0);
  sequence.mutable_sampling()->set_seed(7);
  GenerateClient fast(*stub_);
  fast.Admit(sequence);
  const std::vector<int32_t> expected = fast.UntilEnd(1).tokens;
  ASSERT_EQ(expected.size(), kManyTokens);
  GenerateClient slow(*stub_);
  slow.Admit(sequence);
  ASSERT_TRUE(Pauses(1));
  const Heard& heard = slow.UntilEnd(1);
  EXPECT_EQ(heard.tokens, expected);
  EXPECT_EQ(heard.end.error_code(), 0);
}

TEST_F(DecoderPauseTest, OtherStreamsGoOnWhileOneIsPaused) {
  const auto sleeping = Sleeping();
  GenerateClient reading(*stub_);
  reading.Admit(Sequence(1, {1, 2}, kManyTokens));
  EXPECT_EQ(reading.UntilEnd(1).tokens.size(), kManyTokens);
  EXPECT_EQ(Status().running_sequences(), 1u) << "the one that is paused";
  while (sleeping->heard(1).tokens.size() < kManyTokens) ASSERT_TRUE(sleeping->Read());
  EXPECT_EQ(sleeping->heard(1).ends, 0);
}

TEST_F(DecoderPauseTest, ReaderThatNeverReadsLosesItsStreamAndNobodyElseDoes) {
  Restart({.longest_pause_ms = 200});
  GenerateClient sleeping(*stub_);
  sleeping.Admit(Sequence(1, {1, 2}, kEndless));
  GenerateClient reading(*stub_);
  reading.Admit(Sequence(1, {1, 2}, kFewTokens));
  EXPECT_EQ(reading.UntilEnd(1).tokens.size(), kFewTokens);
  EXPECT_TRUE(BecomesIdle()) << "nobody reads, and the sequence keeps its cache";
  EXPECT_EQ(sleeping.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(sleeping.heard(1).ends, 0);
  reading.Admit(Sequence(2, {1, 2}, kFewTokens));
  EXPECT_EQ(reading.UntilEnd(2).tokens.size(), kFewTokens);
}

TEST_F(DecoderPauseTest, CancelReachesAPausedSequence) {
  const auto client = Sleeping();
  client->Cancel(1);
  EXPECT_TRUE(BecomesIdle());
  const Heard& heard = client->UntilEnd(1);
  EXPECT_EQ(heard.end.finish_reason(), v1::FINISH_REASON_CANCELLED);
  EXPECT_EQ(heard.end.usage().completion_tokens(), heard.tokens.size());
}

TEST_F(DecoderPauseTest, ClientThatVanishesWhilePausedCostsNothingAnyMore) {
  const auto client = Sleeping();
  client->TryCancel();
  EXPECT_TRUE(BecomesIdle());
  EXPECT_EQ(client->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(DecoderPauseTest, ClientThatWritesNoMoreWhilePausedHasLeft) {
  const auto client = Sleeping();
  client->HalfClose();
  EXPECT_TRUE(BecomesIdle());
  EXPECT_TRUE(client->Finish().ok());
  EXPECT_GT(client->heard(1).tokens.size(), 0u);
}

TEST_F(DecoderPauseTest, DrainFinishesAPausedSequence) {
  GenerateClient client(*stub_);
  client.Admit(Sequence(1, {1, 2}, kManyTokens));
  ASSERT_TRUE(Pauses(1));
  service_->StartDrain();
  client.Admit(Sequence(2, {1, 2}, 5));
  EXPECT_EQ(client.UntilEnd(2).end.error_code(), static_cast<int>(grpc::StatusCode::UNAVAILABLE));
  EXPECT_EQ(client.UntilEnd(1).tokens.size(), kManyTokens);
  EXPECT_TRUE(BecomesIdle());
}

}  // namespace
}  // namespace conclave::decoder
