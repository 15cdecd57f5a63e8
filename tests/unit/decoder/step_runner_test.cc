#include "services/decoder/step_runner.h"

#include <gtest/gtest.h>

#include "engine/sampling/arg_max.h"
#include "tests/unit/decoder/scheduler_fixture.h"
#include "tests/unit/decoder/small_decoder.h"
#include "tests/unit/engine/model/loaded_model.h"

namespace conclave::decoder {
namespace {

using engine::testing::LoadedModel;

constexpr int32_t kBrokenToken = 40;

/// The most likely continuation, computed the slow way: the whole text again for every token.
std::vector<int32_t> Continuation(LoadedModel& model, std::vector<int32_t> text, int64_t count) {
  std::vector<int32_t> made;
  for (; count > 0; --count) {
    const auto logits = model.Logits(text, static_cast<int64_t>(text.size()));
    const auto vocabulary = static_cast<size_t>(model.vocabulary());
    made.push_back(engine::ArgMax({logits.data() + logits.size() - vocabulary, vocabulary}));
    text.push_back(made.back());
  }
  return made;
}

SequenceRequest Greedy(std::shared_ptr<EventSink> sink, uint64_t id, int64_t prompt, int64_t max_tokens) {
  SequenceRequest request = Request(std::move(sink), id, prompt, max_tokens);
  request.sampling.temperature = 0.0;
  return request;
}

class StepRunnerTest : public ::testing::TestWithParam<MatrixType> {
 protected:
  void Admit(SmallDecoder& decoder, SequenceRequest request) {
    const Status status = decoder.scheduler->Admit(std::move(request));
    ASSERT_TRUE(status.ok()) << status.ToString();
  }

  static void RunAll(SmallDecoder& decoder) {
    while (decoder.scheduler->HasWork()) decoder.runner->RunStep(*decoder.scheduler);
  }

  std::shared_ptr<CollectingSink> sink_ = std::make_shared<CollectingSink>();
};

INSTANTIATE_TEST_SUITE_P(MatrixTypes, StepRunnerTest, ::testing::Values(MatrixType::kF32, MatrixType::kQ8_0),
                         [](const auto& info) { return info.param == MatrixType::kF32 ? "F32" : "Q8_0"; });

TEST_P(StepRunnerTest, AnswersAreThoseOfEachPromptAlone) {
  SmallDecoder decoder({.running_sequences = 3, .step_tokens = 40}, SmallLlama(GetParam()).Bytes());
  LoadedModel model(GetParam(), 1);
  const int64_t prompts[] = {3, 70, 1, 33, 12};
  std::vector<SequenceRequest> asked;
  for (uint64_t id = 0; id < 5; ++id) {
    asked.push_back(Greedy(sink_, id, prompts[id], 5 + static_cast<int64_t>(id)));
    Admit(decoder, asked.back());
  }
  RunAll(decoder);
  for (const SequenceRequest& request : asked) {
    EXPECT_EQ(sink_->Tokens(request.id), Continuation(model, request.prompt, request.max_tokens))
        << request.id;
  }
}

TEST_P(StepRunnerTest, NothingToDoAsksTheModelForNothing) {
  SmallDecoder decoder({}, SmallLlama(GetParam()).Bytes());
  decoder.feed_forward->hook = [](int64_t) { return Internal("the model was asked"); };
  decoder.runner->RunStep(*decoder.scheduler);
  EXPECT_FALSE(decoder.scheduler->HasWork());
}

TEST_P(StepRunnerTest, FailureEndsTheStepsSequencesAndFreesTheirCache) {
  SmallDecoder decoder({}, SmallLlama(GetParam()).Bytes());
  Admit(decoder, Greedy(sink_, 1, 5, 9));
  Admit(decoder, Greedy(sink_, 2, 5, 9));
  decoder.runner->RunStep(*decoder.scheduler);
  decoder.feed_forward->hook = [](int64_t) { return Unavailable("a shard is gone"); };
  decoder.runner->RunStep(*decoder.scheduler);
  for (const uint64_t id : {1u, 2u}) {
    ASSERT_TRUE(sink_->End(id).has_value());
    EXPECT_EQ(sink_->End(id)->error.code(), StatusCode::kUnavailable);
    EXPECT_EQ(sink_->Tokens(id).size(), 1u);
  }
  EXPECT_EQ(decoder.kv->used_bytes(), 0);
}

/// Damaged weights that one sequence meets are no other sequence's failure.
TEST_P(StepRunnerTest, SequenceThatBecomesNanFailsAlone) {
  SmallDecoder decoder({}, conclave::testing::SmallLlamaWithBrokenToken(GetParam(), kBrokenToken));
  LoadedModel model(GetParam(), 1);
  SequenceRequest broken = Greedy(sink_, 1, 6, 9);
  broken.prompt[2] = kBrokenToken;
  const SequenceRequest whole = Greedy(sink_, 2, 6, 9);
  Admit(decoder, broken);
  Admit(decoder, whole);
  RunAll(decoder);
  ASSERT_TRUE(sink_->End(1).has_value());
  EXPECT_EQ(sink_->End(1)->error.code(), StatusCode::kInternal);
  EXPECT_TRUE(sink_->Tokens(1).empty());
  EXPECT_TRUE(sink_->End(2)->error.ok());
  EXPECT_EQ(sink_->Tokens(2), Continuation(model, whole.prompt, 9));
}

TEST_P(StepRunnerTest, CacheThatHeldNanLeavesNoTrace) {
  constexpr int64_t kBlocks = 2;
  SmallDecoder decoder({}, conclave::testing::SmallLlamaWithBrokenToken(GetParam(), kBrokenToken), kBlocks);
  LoadedModel model(GetParam(), 1);
  SequenceRequest broken = Greedy(sink_, 1, 50, 9);
  broken.prompt[0] = kBrokenToken;
  Admit(decoder, broken);
  RunAll(decoder);
  ASSERT_EQ(sink_->End(1)->error.code(), StatusCode::kInternal);
  const SequenceRequest whole = Greedy(sink_, 2, 40, 9);
  Admit(decoder, whole);
  RunAll(decoder);
  EXPECT_EQ(sink_->Tokens(2), Continuation(model, whole.prompt, 9));
}

}  // namespace
}  // namespace conclave::decoder
