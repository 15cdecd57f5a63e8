#include "services/decoder/wire.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/decoder/limits.h"

namespace conclave::decoder {
namespace {

using ::testing::ElementsAre;

TEST(WireTest, UnsetSamplingIsTheDefault) {
  const auto params = FromWire(v1::SamplingParams(), {});
  ASSERT_TRUE(params.ok());
  const engine::SamplingParams plain;
  EXPECT_EQ(params->temperature, plain.temperature);
  EXPECT_EQ(params->top_k, 0);
  EXPECT_EQ(params->top_p, 1.0);
  EXPECT_EQ(params->repetition_penalty, 1.0);
  EXPECT_FALSE(params->logprobs.has_value());
}

TEST(WireTest, SetSamplingIsTakenEvenWhenItIsZero) {
  v1::SamplingParams wire;
  wire.set_temperature(0.0);
  wire.set_top_k(UINT32_MAX);
  wire.set_top_p(0.25);
  wire.set_min_p(0.5);
  wire.set_repetition_penalty(1.5);
  wire.set_frequency_penalty(-1.0);
  wire.set_presence_penalty(2.0);
  (*wire.mutable_logit_bias())[-3] = 7.0;
  wire.set_seed(0);
  wire.set_logprobs(0);
  const auto params = FromWire(wire, {});
  ASSERT_TRUE(params.ok());
  EXPECT_EQ(params->temperature, 0.0);
  EXPECT_EQ(params->top_k, 4294967295);
  EXPECT_EQ(params->top_p, 0.25);
  EXPECT_EQ(params->min_p, 0.5);
  EXPECT_EQ(params->repetition_penalty, 1.5);
  EXPECT_EQ(params->frequency_penalty, -1.0);
  EXPECT_EQ(params->presence_penalty, 2.0);
  EXPECT_EQ(params->logit_bias.at(-3), 7.0);
  EXPECT_EQ(params->seed, 0u);
  EXPECT_EQ(params->logprobs, 0);
}

TEST(WireTest, MissingSeedsAreDifferentOnes) {
  EXPECT_NE(FromWire(v1::SamplingParams(), {})->seed, FromWire(v1::SamplingParams(), {})->seed);
}

TEST(WireTest, SequenceIsTakenWhole) {
  v1::AdmitSequence wire;
  wire.set_sequence_id(9);
  for (const int token : {4, -5, 6}) wire.add_prompt_token_ids(token);
  for (const int token : {2, 2, 3}) wire.add_end_token_ids(token);
  wire.mutable_sampling()->set_max_tokens(33);
  wire.mutable_sampling()->set_ignore_eos(true);
  wire.set_request_id("r");
  wire.set_tenant("t");
  const auto request = FromWire(wire, {}, nullptr);
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->id, 9u);
  EXPECT_THAT(request->prompt, ElementsAre(4, -5, 6));  // Checked at admission, which knows the vocabulary.
  EXPECT_EQ(request->end_tokens.size(), 2u);
  EXPECT_EQ(request->max_tokens, 33);
  EXPECT_TRUE(request->ignore_end);
  EXPECT_EQ(request->request_id, "r");
  EXPECT_EQ(request->tenant, "t");
  EXPECT_EQ(request->answers(), 1);
}

TEST(WireTest, FurtherAnswersAreTakenUpToTheirBound) {
  v1::AdmitSequence wire;
  wire.mutable_sampling()->set_seed(7);
  for (int64_t i = 1; i < kMostAnswers; ++i) {
    v1::FurtherAnswer& answer = *wire.add_further_answers();
    answer.set_sequence_id(static_cast<uint64_t>(100 + i));
    answer.set_seed(static_cast<uint64_t>(7 + i));
  }
  const auto request = FromWire(wire, {}, nullptr);
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->answers(), kMostAnswers);
  EXPECT_EQ(request->further[2].id, 103u);
  EXPECT_EQ(request->further[2].seed, 10u);
  wire.add_further_answers();
  EXPECT_EQ(FromWire(wire, {}, nullptr).status().code(), StatusCode::kInvalidArgument);
}

TEST(WireTest, RefusesWhatIsTooMuchOrNothing) {
  v1::AdmitSequence none;
  none.mutable_sampling()->set_max_tokens(0);
  EXPECT_EQ(FromWire(none, {}, nullptr).status().code(), StatusCode::kInvalidArgument);
  v1::AdmitSequence ends;
  for (int64_t i = 0; i <= kMostEndTokens; ++i) ends.add_end_token_ids(1);
  EXPECT_EQ(FromWire(ends, {}, nullptr).status().code(), StatusCode::kInvalidArgument);
  v1::AdmitSequence biases;
  for (int32_t i = 0; i <= 1024; ++i) (*biases.mutable_sampling()->mutable_logit_bias())[i] = 1.0;
  EXPECT_EQ(FromWire(biases, {}, nullptr).status().code(), StatusCode::kInvalidArgument);
}

TEST(WireTest, BeamSearchIsTakenWithItsDefaults) {
  v1::AdmitSequence wire;
  EXPECT_EQ(FromWire(wire, {}, nullptr)->beams.beams, 0);
  v1::SamplingParams defaults;
  defaults.set_temperature(0.5);
  v1::BeamSearch& search = *wire.mutable_sampling()->mutable_beam_search();
  search.set_beams(3);
  const auto plain = FromWire(wire, defaults, nullptr);
  ASSERT_TRUE(plain.ok()) << "a default is not asked for";
  EXPECT_EQ(plain->beams.beams, 3);
  EXPECT_EQ(plain->beams.length_penalty, 1.0);
  EXPECT_EQ(plain->beams.early_stopping, engine::EarlyStopping::kNo);
  EXPECT_EQ(plain->width(), 3);
  search.set_length_penalty(0.0);
  search.set_early_stopping(v1::EARLY_STOPPING_NEVER);
  EXPECT_EQ(FromWire(wire, {}, nullptr)->beams.length_penalty, 0.0);
  EXPECT_EQ(FromWire(wire, {}, nullptr)->beams.early_stopping, engine::EarlyStopping::kNever);
  search.set_early_stopping(v1::EARLY_STOPPING_FULL);
  EXPECT_EQ(FromWire(wire, {}, nullptr)->beams.early_stopping, engine::EarlyStopping::kYes);
}

TEST(WireTest, RefusesABeamSearchThatMakesNoSense) {
  auto refused = [](const std::function<void(v1::SamplingParams&)>& change) {
    v1::AdmitSequence wire;
    wire.mutable_sampling()->mutable_beam_search()->set_beams(4);
    change(*wire.mutable_sampling());
    return FromWire(wire, {}, nullptr).status().code() == StatusCode::kInvalidArgument;
  };
  EXPECT_FALSE(refused([](auto&) {}));
  EXPECT_TRUE(refused([](auto& sampling) { sampling.mutable_beam_search()->set_beams(0); }));
  EXPECT_TRUE(refused([](auto& sampling) { sampling.mutable_beam_search()->set_beams(17); }));
  EXPECT_TRUE(refused([](auto& sampling) { sampling.mutable_beam_search()->set_beams(UINT32_MAX); }));
  EXPECT_TRUE(refused([](auto& sampling) { sampling.mutable_beam_search()->set_length_penalty(11.0); }));
  EXPECT_TRUE(refused([](auto& sampling) {
    sampling.mutable_beam_search()->set_early_stopping(static_cast<v1::EarlyStopping>(9));
  }));
  EXPECT_TRUE(refused([](auto& sampling) { sampling.set_temperature(0.0); }));
  EXPECT_TRUE(refused([](auto& sampling) { sampling.set_top_k(0); }));
  EXPECT_TRUE(refused([](auto& sampling) { sampling.set_top_p(1.0); }));
  EXPECT_TRUE(refused([](auto& sampling) { sampling.set_min_p(0.0); }));
}

TEST(WireTest, ScoresAreToldOfBeamsOnly) {
  SequenceEvent found{.sequence_id = 1, .end = SequenceEnd{.beam_score = -0.25}};
  SequenceEvent drawn{.sequence_id = 2, .end = SequenceEnd{}};
  const v1::GenerateResponse response = ToWire(std::vector<SequenceEvent>{found, drawn});
  EXPECT_EQ(response.events(0).end().beam_score(), -0.25);
  EXPECT_FALSE(response.events(1).end().has_beam_score());
}

TEST(WireTest, EventsWithTokensLogprobsAndEnds) {
  SequenceEvent made{.sequence_id = 1, .with_logprobs = true};
  made.tokens.push_back({.token_id = 5, .logprob = -0.5f, .top = {{5, -0.5f}, {6, -1.5f}}});
  SequenceEvent ended{.sequence_id = 2};
  ended.tokens.push_back({.token_id = 7});
  ended.end = SequenceEnd{.reason = FinishReason::kLength,
                          .prompt_tokens = 3,
                          .completion_tokens = 4,
                          .seed = UINT64_MAX,
                          .prompt_us = 10,
                          .decode_us = 20};
  SequenceEvent failed{.sequence_id = 3};
  failed.end = SequenceEnd{.error = ResourceExhausted("full").WithRetryAfterMs(50)};
  const v1::GenerateResponse wire = ToWire({made, ended, failed});
  ASSERT_EQ(wire.events_size(), 3);
  EXPECT_EQ(wire.events(0).logprobs(0).chosen().logprob(), -0.5f);
  EXPECT_EQ(wire.events(0).logprobs(0).top(1).token_id(), 6);
  EXPECT_FALSE(wire.events(0).has_end());
  EXPECT_THAT(wire.events(1).token_ids(), ElementsAre(7));
  EXPECT_EQ(wire.events(1).logprobs_size(), 0);
  EXPECT_EQ(wire.events(1).end().finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(wire.events(1).end().error_code(), 0);
  EXPECT_EQ(wire.events(1).end().usage().completion_tokens(), 4u);
  EXPECT_EQ(wire.events(1).end().seed(), UINT64_MAX);
  EXPECT_EQ(wire.events(2).end().error_code(), 8);
  EXPECT_EQ(wire.events(2).end().error_message(), "full");
  EXPECT_EQ(wire.events(2).end().retry_after_ms(), 50);
  EXPECT_EQ(wire.events(2).end().finish_reason(), v1::FINISH_REASON_UNSPECIFIED);
}

}  // namespace
}  // namespace conclave::decoder
