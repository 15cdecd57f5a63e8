#include <map>
#include <random>

#include <gtest/gtest.h>

#include "tests/unit/decoder/scheduler_fixture.h"
#include "tests/unit/decoder/small_decoder.h"

namespace conclave::decoder {
namespace {

constexpr uint64_t kAnswerRequests = 150;
constexpr uint64_t kMostOfOne = 4;

using Made = std::map<uint64_t, std::vector<std::pair<int32_t, float>>>;

/// How the requests are served.
struct AnswersServing {
  const char* name;
  int64_t step_tokens;
  int64_t prefix_blocks;
  int64_t draft_tokens;
};

SequenceRequest RandomAnswers(std::shared_ptr<EventSink> sink, uint64_t id, std::mt19937& random) {
  const int64_t prompt_tokens = 1 + static_cast<int64_t>(random() % 100);
  const int64_t max_tokens = 1 + static_cast<int64_t>(random() % 20);
  SequenceRequest request = Request(std::move(sink), id * kMostOfOne, prompt_tokens, max_tokens);
  const auto family = static_cast<int32_t>(random() % 3);
  for (int32_t& token : request.prompt) token = (token * 5 + family) % 48;
  request.sampling.seed = random();
  request.sampling.temperature = random() % 4 == 0 ? 0.0 : 0.9;
  request.sampling.repetition_penalty = random() % 4 == 0 ? 1.1 : 1.0;
  request.sampling.logprobs = 1;
  request.end_tokens = {static_cast<int32_t>(random() % 48)};
  const uint64_t answers = 1 + random() % kMostOfOne;
  for (uint64_t i = 1; i < answers; ++i) {
    request.further.push_back({.id = request.id + i, .seed = request.sampling.seed + i});
  }
  return request;
}

/// All requests' answers: each request's together, or (`alone`) one after the other as requests of their own.
Made MadeBy(const AnswersServing& serving, bool alone, WorkTotals* totals = nullptr) {
  const std::string model = SmallLlama(MatrixType::kQ8_0).Bytes();
  const int64_t block_bytes = SmallDecoder({}, model, 1).kv->layout().block_bytes();
  SmallDecoder decoder({.running_sequences = alone ? 1 : 12,
                        .step_tokens = serving.step_tokens,
                        .prefix_cache_bytes = serving.prefix_blocks * block_bytes,
                        .draft_tokens = serving.draft_tokens},
                       model, 40);
  auto sink = std::make_shared<CollectingSink>();
  std::mt19937 random(5);
  for (uint64_t id = 0; id < kAnswerRequests; ++id) {
    const SequenceRequest request = RandomAnswers(sink, id, random);
    if (alone) {
      EXPECT_TRUE(decoder.scheduler->Admit(request.ForFurther({request.id, request.sampling.seed})).ok());
      for (const FurtherAnswer& answer : request.further) {
        EXPECT_TRUE(decoder.scheduler->Admit(request.ForFurther(answer)).ok());
      }
    } else {
      EXPECT_TRUE(decoder.scheduler->Admit(request).ok());
    }
    while (decoder.scheduler->Snapshot().queued > 6) decoder.runner->RunStep(*decoder.scheduler);
  }
  while (decoder.scheduler->HasWork()) decoder.runner->RunStep(*decoder.scheduler);
  if (totals != nullptr) *totals = decoder.scheduler->Snapshot().totals;
  Made made;
  for (const auto& events : sink->deliveries) {
    for (const SequenceEvent& event : events) {
      for (const auto& token : event.tokens) {
        made[event.sequence_id].emplace_back(token.token_id, token.logprob);
      }
    }
  }
  return made;
}

class AnswersIdentityTest : public ::testing::TestWithParam<AnswersServing> {};

INSTANTIATE_TEST_SUITE_P(Servings, AnswersIdentityTest,
                         ::testing::Values(AnswersServing{"Plain", 256, 0, 0},
                                           AnswersServing{"InSmallSteps", 40, 0, 0},
                                           AnswersServing{"FromAPrefixCache", 48, 12, 0},
                                           AnswersServing{"AllAtOnce", 40, 12, 4}),
                         [](const auto& info) { return info.param.name; });

/// Bits, not roughly: answer i is the request with its seed alone, and shared prompts are computed once.
TEST_P(AnswersIdentityTest, EachAnswerIsThatOfARequestWithItsSeedAlone) {
  static const Made& alone = *new Made(MadeBy({"", 1000, 0, 0}, true));
  WorkTotals totals;
  const Made together = MadeBy(GetParam(), false, &totals);
  ASSERT_EQ(together.size(), alone.size());
  EXPECT_EQ(together, alone);
  std::mt19937 random(5);
  int64_t prompts = 0;
  int64_t different = 0;
  for (uint64_t id = 0; id < kAnswerRequests; ++id) {
    const SequenceRequest request = RandomAnswers(nullptr, id, random);
    prompts += request.prompt_tokens();
    if (request.answers() > 1) different += alone.at(request.id) != alone.at(request.id + 1) ? 1 : 0;
  }
  if (GetParam().prefix_blocks == 0) {
    EXPECT_EQ(totals.prompt_tokens, prompts);
  } else {
    EXPECT_LT(totals.prompt_tokens, prompts);
  }
  EXPECT_GT(different, static_cast<int64_t>(kAnswerRequests / 4)) << "other seeds must give other answers";
}

}  // namespace
}  // namespace conclave::decoder
