#include "services/decoder/decoder_service.h"

#include <gmock/gmock.h>

#include "tests/unit/decoder/service_fixture.h"

namespace conclave::decoder {
namespace {

TEST_F(DecoderServiceTest, OneStreamCarriesManySequences) {
  constexpr uint64_t kSequences = 20;
  auto prompt = [](uint64_t id) { return std::vector<int32_t>(1 + id * 3, static_cast<int32_t>(id)); };
  GenerateClient together(*stub_);
  for (uint64_t id = 0; id < kSequences; ++id) {
    together.Admit(Sequence(id, prompt(id), static_cast<uint32_t>(5 + id)));
  }
  for (uint64_t id = 0; id < kSequences; ++id) {
    const Heard& heard = together.UntilEnd(id);
    EXPECT_EQ(heard.end.finish_reason(), v1::FINISH_REASON_LENGTH);
    EXPECT_EQ(heard.end.error_code(), 0);
    EXPECT_EQ(heard.end.usage().prompt_tokens(), 1 + id * 3);
    EXPECT_EQ(heard.end.usage().completion_tokens(), 5 + id);
    EXPECT_EQ(heard.tokens.size(), 5 + id);
    GenerateClient alone(*stub_);
    alone.Admit(Sequence(7, prompt(id), static_cast<uint32_t>(5 + id)));
    EXPECT_EQ(alone.UntilEnd(7).tokens, heard.tokens) << id;
  }
}

TEST_F(DecoderServiceTest, SeedDecidesTheTokensAndIsReported) {
  std::vector<Heard> heard;
  for (const uint64_t seed : {7u, 7u, 8u}) {
    v1::AdmitSequence sequence = Sequence(1, {1, 2, 3}, 30);
    sequence.mutable_sampling()->set_temperature(2.0);
    sequence.mutable_sampling()->set_seed(seed);
    GenerateClient client(*stub_);
    client.Admit(sequence);
    heard.push_back(client.UntilEnd(1));
    EXPECT_EQ(heard.back().end.seed(), seed);
  }
  EXPECT_EQ(heard[0].tokens, heard[1].tokens);
  EXPECT_NE(heard[0].tokens, heard[2].tokens);
}

TEST_F(DecoderServiceTest, StreamsKnowNothingOfEachOther) {
  GenerateClient first(*stub_);
  GenerateClient second(*stub_);
  first.Admit(Sequence(1, {1, 2}, kEndless));
  second.Admit(Sequence(1, {1, 2}, 6));
  EXPECT_EQ(second.UntilEnd(1).tokens.size(), 6u);
  second.Cancel(1);  // Ended, and the other stream's is not meant.
  while (first.heard(1).tokens.size() < 20) ASSERT_TRUE(first.Read());
  EXPECT_EQ(first.heard(1).ends, 0);
}

TEST_F(DecoderServiceTest, CancelInTheMiddleEndsOneSequence) {
  GenerateClient client(*stub_);
  client.Admit(Sequence(1, {1, 2}, kEndless));
  client.Admit(Sequence(2, {3, 4}, kEndless));
  while (client.heard(1).tokens.size() < 3) ASSERT_TRUE(client.Read());
  client.Cancel(1);
  const Heard& heard = client.UntilEnd(1);
  EXPECT_EQ(heard.end.finish_reason(), v1::FINISH_REASON_CANCELLED);
  EXPECT_EQ(heard.end.usage().completion_tokens(), heard.tokens.size());
  EXPECT_LT(heard.tokens.size(), kEndless);
  const size_t before = client.heard(2).tokens.size();
  while (client.heard(2).tokens.size() < before + 5) ASSERT_TRUE(client.Read());
  EXPECT_EQ(client.heard(2).ends, 0);
}

TEST_F(DecoderServiceTest, VanishedClientCostsNothingAnyMore) {
  auto client = std::make_unique<GenerateClient>(*stub_);
  for (uint64_t id = 1; id <= 3; ++id) client->Admit(Sequence(id, {1, 2}, kEndless));
  while (client->heard(3).tokens.empty()) ASSERT_TRUE(client->Read());
  EXPECT_EQ(Status().running_sequences(), 3u);
  client->TryCancel();
  EXPECT_EQ(client->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(BecomesIdle());
}

TEST_F(DecoderServiceTest, ClientThatWritesNoMoreHasLeft) {
  GenerateClient client(*stub_);
  client.Admit(Sequence(1, {1, 2}, kEndless));
  while (client.heard(1).tokens.empty()) ASSERT_TRUE(client.Read());
  client.HalfClose();
  EXPECT_TRUE(client.Finish().ok());
  EXPECT_TRUE(BecomesIdle());
}

TEST_F(DecoderServiceTest, EngineFailureReachesTheSequencesAndNotTheStream) {
  GenerateClient client(*stub_);
  int64_t steps = 0;
  decoder_->feed_forward->hook = [&](int64_t layer) {
    if (layer == 0) ++steps;
    return steps == 4 ? Unavailable("a shard is gone") : conclave::Status::Ok();
  };
  client.Admit(Sequence(1, {1, 2}, kEndless));
  const Heard& failed = client.UntilEnd(1);
  EXPECT_EQ(failed.end.error_code(), static_cast<int>(grpc::StatusCode::UNAVAILABLE));
  EXPECT_EQ(failed.end.error_message(), "a shard is gone");
  EXPECT_EQ(failed.tokens.size(), 3u);
  client.Admit(Sequence(2, {1, 2}, 5));
  EXPECT_EQ(client.UntilEnd(2).tokens.size(), 5u);
}

TEST_F(DecoderServiceTest, DrainFinishesWhatRunsAndRefusesWhatComes) {
  GenerateClient client(*stub_);
  client.Admit(Sequence(1, {1, 2}, kEndless));
  while (client.heard(1).tokens.empty()) ASSERT_TRUE(client.Read());
  EXPECT_FALSE(Status().draining());
  service_->StartDrain();
  EXPECT_TRUE(Status().draining());
  client.Admit(Sequence(2, {1, 2}, 5));
  const Heard& refused = client.UntilEnd(2);
  EXPECT_EQ(refused.end.error_code(), static_cast<int>(grpc::StatusCode::UNAVAILABLE));
  EXPECT_TRUE(refused.tokens.empty());
  EXPECT_EQ(client.heard(1).ends, 0);
  const size_t before = client.heard(1).tokens.size();
  while (client.heard(1).tokens.size() < before + 5) ASSERT_TRUE(client.Read());
}

TEST_F(DecoderServiceTest, StatusSaysWhatIsLoadedAndHowBusyItIs) {
  v1::StatusResponse idle = Status();
  EXPECT_EQ(idle.model().name(), "small");
  EXPECT_EQ(idle.context_length(), kLongContext);
  EXPECT_EQ(idle.running_sequences(), 0u);
  EXPECT_EQ(idle.kv_bytes_used(), 0u);
  EXPECT_GT(idle.kv_bytes_total(), 0u);
  Restart({.running_sequences = 1});
  GenerateClient client(*stub_);
  client.Admit(Sequence(1, {1, 2}, kEndless));
  client.Admit(Sequence(2, {1, 2, 3}, 10));
  while (client.heard(1).tokens.empty()) ASSERT_TRUE(client.Read());
  v1::StatusResponse busy = Status();
  for (; busy.queued_sequences() == 0; busy = Status()) ASSERT_TRUE(client.Read());
  EXPECT_EQ(busy.running_sequences(), 1u);
  EXPECT_EQ(busy.queued_sequences(), 1u);
  EXPECT_EQ(busy.queued_tokens(), 13u);
  EXPECT_GT(busy.kv_bytes_used(), 0u);
}

TEST_F(DecoderServiceTest, AnswersToOnePromptComeEachByItsIdAndTheirPromptIsComputedOnce) {
  GenerateClient client(*stub_);
  v1::AdmitSequence sequence = Sequence(1, std::vector<int32_t>(45, 3), 6);
  sequence.mutable_sampling()->set_seed(11);
  for (uint64_t i = 1; i <= 2; ++i) {
    v1::FurtherAnswer& answer = *sequence.add_further_answers();
    answer.set_sequence_id(1 + i);
    answer.set_seed(11 + i);
  }
  client.Admit(sequence);
  for (uint64_t id = 1; id <= 3; ++id) {
    const Heard& heard = client.UntilEnd(id);
    EXPECT_EQ(heard.tokens.size(), 6u);
    EXPECT_EQ(heard.end.seed(), 10 + id);
    EXPECT_EQ(heard.end.usage().prompt_tokens(), 45u);
    EXPECT_EQ(heard.end.usage().cached_prompt_tokens(), id == 1 ? 0u : 45u);
  }
}

TEST_F(DecoderServiceTest, RefusalReachesEveryAnswer) {
  GenerateClient client(*stub_);
  v1::AdmitSequence sequence = Sequence(1, {1, 2}, 6);
  sequence.add_further_answers()->set_sequence_id(2);
  for (const char* wrong : {"the parameters", "the prompt"}) {
    v1::AdmitSequence refused = sequence;
    if (wrong == std::string("the prompt")) {
      refused.set_sequence_id(3);
      refused.mutable_further_answers(0)->set_sequence_id(4);
      refused.set_prompt_token_ids(0, -1);
    } else {
      refused.mutable_sampling()->set_max_tokens(0);
    }
    client.Admit(refused);
    for (const uint64_t id : {refused.sequence_id(), refused.further_answers(0).sequence_id()}) {
      EXPECT_EQ(client.UntilEnd(id).end.error_code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT))
          << wrong << " of " << id;
    }
  }
}

TEST_F(DecoderServiceTest, StatusCountsWhatWasCachedAndWhatWasGuessed) {
  Restart({.prefix_cache_bytes = 1 << 20, .draft_tokens = 4});
  GenerateClient client(*stub_);
  std::vector<std::vector<int32_t>> answers;
  for (uint64_t id = 1; id <= 2; ++id) {
    std::vector<int32_t> prompt(70);
    for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int32_t>(i % 5);
    v1::AdmitSequence sequence = Sequence(id, prompt, 60);
    sequence.mutable_sampling()->set_temperature(0.0);
    client.Admit(sequence);
    const Heard& heard = client.UntilEnd(id);
    EXPECT_EQ(heard.end.usage().cached_prompt_tokens(), id == 1 ? 0u : 64u);
    answers.push_back(heard.tokens);
  }
  EXPECT_EQ(answers[0], answers[1]);
  const v1::StatusResponse status = Status();
  EXPECT_EQ(status.prefix_cache_misses(), 1u);
  EXPECT_EQ(status.prefix_cache_hits(), 1u);
  EXPECT_GT(status.prefix_cache_bytes_used(), 0u);
  EXPECT_GT(status.draft_tokens(), 0u);
  EXPECT_GE(status.draft_tokens(), status.accepted_draft_tokens());
}

}  // namespace
}  // namespace conclave::decoder
