#include <cmath>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "tests/unit/decoder/scheduler_fixture.h"
#include "tests/unit/decoder/small_decoder.h"

namespace conclave::decoder {
namespace {

constexpr uint64_t kSearchRequests = 60;
constexpr uint64_t kMostAnswersOfOne = 3;

struct SearchAnswer {
  std::vector<std::pair<int32_t, float>> tokens;
  std::optional<double> score;
  bool operator==(const SearchAnswer&) const = default;
};
using SearchAnswers = std::map<uint64_t, SearchAnswer>;

struct BeamsServing {
  const char* name;
  int64_t running_sequences;
  int64_t step_tokens;
  int64_t prefix_blocks;
  int64_t draft_tokens;
};

/// Two thirds of them searches, with every parameter that there is.
SequenceRequest RandomSearch(std::shared_ptr<EventSink> sink, uint64_t id, std::mt19937& random) {
  const int64_t prompt_tokens = 1 + static_cast<int64_t>(random() % 100);
  SequenceRequest request = Request(std::move(sink), id * kMostAnswersOfOne, prompt_tokens,
                                    1 + static_cast<int64_t>(random() % 40));
  const auto family = static_cast<int32_t>(random() % 3);
  for (int32_t& token : request.prompt) token = (token * 5 + family) % 48;
  request.sampling.seed = random();
  request.sampling.logprobs = 1;
  request.sampling.repetition_penalty = random() % 4 == 0 ? 1.2 : 1.0;
  request.sampling.presence_penalty = random() % 4 == 0 ? 0.5 : 0.0;
  request.end_tokens = {static_cast<int32_t>(random() % 48), static_cast<int32_t>(random() % 48)};
  if (random() % 3 == 0) return request;
  request.beams = {.beams = 1 + static_cast<int64_t>(random() % 6),
                   .length_penalty = static_cast<double>(random() % 3),
                   .early_stopping = static_cast<engine::EarlyStopping>(random() % 3)};
  const auto answers = std::min<uint64_t>(request.beams.beams, 1 + random() % kMostAnswersOfOne);
  for (uint64_t i = 1; i < answers; ++i) request.further.push_back({.id = request.id + i});
  return request;
}

SearchAnswers AnswersIn(const CollectingSink& sink) {
  SearchAnswers made;
  for (const auto& events : sink.deliveries) {
    for (const SequenceEvent& event : events) {
      SearchAnswer& answer = made[event.sequence_id];
      for (const auto& token : event.tokens) answer.tokens.emplace_back(token.token_id, token.logprob);
      if (!event.end.has_value()) continue;
      EXPECT_TRUE(event.end->error.ok()) << event.end->error.ToString();
      answer.score = event.end->beam_score;
    }
  }
  return made;
}

SearchAnswers SearchesBy(const BeamsServing& serving) {
  const std::string model = SmallLlama(MatrixType::kQ8_0).Bytes();
  const int64_t block_bytes = SmallDecoder({}, model, 1).kv->layout().block_bytes();
  SmallDecoder decoder({.running_sequences = serving.running_sequences,
                        .step_tokens = serving.step_tokens,
                        .prefix_cache_bytes = serving.prefix_blocks * block_bytes,
                        .draft_tokens = serving.draft_tokens},
                       model, 60);
  auto sink = std::make_shared<CollectingSink>();
  std::mt19937 random(8);
  for (uint64_t id = 0; id < kSearchRequests; ++id) {
    EXPECT_TRUE(decoder.scheduler->Admit(RandomSearch(sink, id, random)).ok());
    const int64_t most_queued = serving.running_sequences > 6 ? 8 : 0;
    while (decoder.scheduler->Snapshot().queued > most_queued ||
           (most_queued == 0 && decoder.scheduler->HasWork())) {
      decoder.runner->RunStep(*decoder.scheduler);
    }
  }
  while (decoder.scheduler->HasWork()) decoder.runner->RunStep(*decoder.scheduler);
  if (serving.prefix_blocks == 0) {
    EXPECT_EQ(decoder.kv->free_blocks(), decoder.kv->total_blocks());
  }
  return AnswersIn(*sink);
}

const SearchAnswers& Alone() {
  static const SearchAnswers& alone = *new SearchAnswers(SearchesBy({"", 6, 1000, 0, 0}));
  return alone;
}

class BeamsIdentityTest : public ::testing::TestWithParam<BeamsServing> {};

INSTANTIATE_TEST_SUITE_P(Servings, BeamsIdentityTest,
                         ::testing::Values(BeamsServing{"Together", 24, 256, 0, 0},
                                           BeamsServing{"InSmallSteps", 24, 40, 0, 0},
                                           BeamsServing{"AllAtOnce", 24, 40, 12, 4}),
                         [](const auto& info) { return info.param.name; });

/// Bits, not roughly.
TEST_P(BeamsIdentityTest, SearchesBesideOthersAreThoseAlone) { EXPECT_EQ(SearchesBy(GetParam()), Alone()); }

TEST(BeamsOfTheModelTest, ScoreIsTheSumOfLogprobsByLength) {
  std::mt19937 random(8);
  int64_t searches = 0;
  for (uint64_t id = 0; id < kSearchRequests; ++id) {
    const SequenceRequest request = RandomSearch(nullptr, id, random);
    const SearchAnswer& made = Alone().at(request.id);
    EXPECT_EQ(made.score.has_value(), request.beams.beams > 0);
    if (!made.score || request.sampling.repetition_penalty != 1.0 || request.sampling.presence_penalty != 0.0)
      continue;
    double sum = 0.0;
    for (const auto& [token, logprob] : made.tokens) sum += logprob;
    const auto length = static_cast<double>(made.tokens.size());
    // Each log-probability was rounded to float32: half a unit of 2^-20 or less below 16.
    EXPECT_NEAR(*made.score * std::pow(length, request.beams.length_penalty), sum, length * 1e-6);
    ++searches;
  }
  EXPECT_GT(searches, 10);
}

/// What a beam's cache holds, after any number of moves, is what computing its tokens in one go gives.
TEST(BeamsOfTheModelTest, EveryTokenHasTheLogprobOfItsOwnHistory) {
  SmallDecoder decoder({.running_sequences = 16});
  auto searched = std::make_shared<CollectingSink>();
  SequenceRequest request = Request(searched, 1, 50, 60);
  for (uint64_t id = 2; id <= 6; ++id) request.further.push_back({.id = id});
  request.beams = {.beams = 6};
  request.sampling.logprobs = 0;
  ASSERT_TRUE(decoder.scheduler->Admit(request).ok());
  while (decoder.scheduler->HasWork()) decoder.runner->RunStep(*decoder.scheduler);
  const SearchAnswers found = AnswersIn(*searched);
  ASSERT_EQ(found.size(), 6u);
  for (const auto& [id, answer] : found) {
    for (size_t i = 0; i < answer.tokens.size(); i += 7) {
      auto checked = std::make_shared<CollectingSink>();
      SequenceRequest check = Request(checked, 1, 50, 1);
      for (size_t j = 0; j < i; ++j) check.prompt.push_back(answer.tokens[j].first);
      check.sampling = {.temperature = 0.0, .logit_bias = {{answer.tokens[i].first, 100.0}}, .logprobs = 0};
      ASSERT_TRUE(decoder.scheduler->Admit(check).ok());
      while (decoder.scheduler->HasWork()) decoder.runner->RunStep(*decoder.scheduler);
      EXPECT_EQ(AnswersIn(*checked).at(1).tokens, (decltype(answer.tokens){answer.tokens[i]}))
          << id << ' ' << i;
    }
  }
}

}  // namespace
}  // namespace conclave::decoder
