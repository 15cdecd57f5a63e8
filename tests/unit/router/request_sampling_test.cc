#include <gtest/gtest.h>

#include "tests/unit/router/request_fixture.h"

namespace conclave::router {
namespace {

TEST_F(RequestTest, WhatARequestLeavesOpenIsTheModelsDefaultAndIsRecorded) {
  RequestPlan plan = ChatPlan("Hello?");
  plan.sampling.clear_max_tokens();
  plan.sampling.set_top_p(1.0);
  StartAnswer(plan);
  EXPECT_EQ(backends_->ticket_.tokens, 3 + 40);
  EXPECT_EQ(backends_->sequence.sampling().temperature(), 0.25);
  EXPECT_EQ(backends_->sequence.sampling().top_p(), 1.0);
  EXPECT_EQ(backends_->sequence.sampling().max_tokens(), 40u);
  MakeTokens({kEnd}, v1::FINISH_REASON_STOP);
  EXPECT_EQ(backends_->record_request.sampling().temperature(), 0.25);
  EXPECT_EQ(backends_->record_request.sampling().top_p(), 1.0);
}

TEST_F(RequestTest, ABeamSearchGoesToTheDecoderWithoutWhatDraws) {
  RequestPlan plan = ChatPlan("Hello?");
  plan.sampling.clear_temperature();
  plan.sampling.mutable_beam_search()->set_beams(4);
  plan.answers = 2;
  StartAnswer(plan);
  EXPECT_EQ(backends_->ticket_.tokens, 3 + 4 * 20) << "every beam may become as long";
  EXPECT_EQ(backends_->ticket_.answers, 4);
  EXPECT_EQ(backends_->sequence.further_answers_size(), 1);
  EXPECT_EQ(backends_->sequence.sampling().beam_search().beams(), 4u);
  EXPECT_FALSE(backends_->sequence.sampling().has_temperature());
  EXPECT_FALSE(backends_->sequence.sampling().has_top_p());
}

}  // namespace
}  // namespace conclave::router
