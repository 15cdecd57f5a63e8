#include "engine/sampling/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "engine/sampling/arg_max.h"

namespace conclave::engine {
namespace {

using Tokens = std::vector<int32_t>;

Result<BeamRow> Rank(const std::vector<float>& logits, const SamplingParams& params, const Tokens& prompt,
                     const Tokens& said, int64_t count) {
  return RankTokens(logits, Summarise(logits), params, prompt, said, count);
}

constexpr int32_t kEnd = 3;

/// Logits after a history that depend on all of it.
std::vector<float> LogitsAfter(const Tokens& history, uint32_t seed) {
  uint32_t state = seed;
  for (const int32_t token : history) state = state * 31 + static_cast<uint32_t>(token) + 1;
  std::mt19937 random(state);
  std::vector<float> logits(kEnd + 1);
  for (float& logit : logits) logit = std::normal_distribution<float>(0.0f, 2.0f)(random);
  return logits;
}

double LogprobOf(const Tokens& history, int32_t token, uint32_t seed) {
  const std::vector<float> logits = LogitsAfter(history, seed);
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  return logits[token] - std::log(sum);
}

Tokens IdsOf(const BeamHypothesis& hypothesis) {
  Tokens ids;
  for (const SampledToken& token : hypothesis.tokens) ids.push_back(token.token_id);
  return ids;
}

std::vector<BeamHypothesis> Search(const BeamParams& params, int64_t max_tokens, uint32_t seed) {
  BeamSearch search(params, {kEnd}, max_tokens);
  std::vector<Tokens> said = {{}};
  while (!search.done()) {
    std::vector<BeamRow> rows;
    for (const Tokens& beam : said) {
      rows.push_back(*Rank(LogitsAfter(beam, seed), {}, {}, beam, search.candidates()));
    }
    std::vector<Tokens> next;
    for (const BeamSearch::Beam& beam : search.Step(rows)) {
      next.push_back(said[beam.parent]);
      next.back().push_back(beam.token_id);
    }
    said = std::move(next);
  }
  return search.Finished();
}

struct Complete {
  Tokens tokens;
  double score;
};

/// Every sequence there is, however unlikely.
void Enumerate(const Tokens& history, double sum, int64_t max_tokens, double penalty, uint32_t seed,
               std::vector<Complete>& all) {
  for (int32_t token = 0; token <= kEnd; ++token) {
    Tokens longer = history;
    longer.push_back(token);
    const double longer_sum = sum + LogprobOf(history, token, seed);
    const auto length = static_cast<int64_t>(longer.size());
    if (token == kEnd || length == max_tokens) {
      all.push_back({longer, longer_sum / std::pow(static_cast<double>(length), penalty)});
    } else {
      Enumerate(longer, longer_sum, max_tokens, penalty, seed, all);
    }
  }
}

TEST(BeamSearchTest, WithEnoughBeamsFindsTheBestOfAllSequences) {
  constexpr int64_t kMaxTokens = 4;
  for (const double penalty : {-1.0, 0.0, 0.5, 1.0, 2.0}) {
    for (uint32_t seed = 1; seed <= 20; ++seed) {
      std::vector<Complete> all;
      Enumerate({}, 0.0, kMaxTokens, penalty, seed, all);
      std::ranges::sort(all, std::greater<>(), &Complete::score);
      const BeamParams params{.beams = static_cast<int64_t>(all.size()) - 1,
                              .length_penalty = penalty,
                              .early_stopping = EarlyStopping::kNever};
      const auto found = Search(params, kMaxTokens, seed);
      ASSERT_EQ(found.size(), all.size() - 1);
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(IdsOf(found[i]), all[i].tokens) << "rank " << i << ", seed " << seed;
        // Float32 weights in the sum of each of four steps.
        EXPECT_NEAR(found[i].score, all[i].score, 4e-5);
        EXPECT_EQ(found[i].ended, all[i].tokens.back() == kEnd);
      }
    }
  }
}

TEST(BeamSearchTest, OneBeamIsGreedyUntilItEnds) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    Tokens greedy;
    while (greedy.size() < 6 && (greedy.empty() || greedy.back() != kEnd)) {
      greedy.push_back(ArgMax(LogitsAfter(greedy, seed)));
    }
    const auto found = Search({.beams = 1, .early_stopping = EarlyStopping::kYes}, 6, seed);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(IdsOf(found[0]), greedy);
  }
}

/// Rows by hand: candidates' scores, best first.
BeamRow Row(std::vector<std::pair<int32_t, double>> scores) {
  BeamRow row;
  for (const auto& [token, score] : scores) row.candidates.push_back({.token_id = token, .score = score});
  return row;
}

std::vector<std::pair<int64_t, int32_t>> Pairs(const std::vector<BeamSearch::Beam>& beams) {
  std::vector<std::pair<int64_t, int32_t>> pairs;
  for (const auto& beam : beams) pairs.emplace_back(beam.parent, beam.token_id);
  return pairs;
}

using Beams = std::vector<std::pair<int64_t, int32_t>>;

TEST(BeamSearchTest, BothBeamsMayGoOnFromOne) {
  BeamSearch search({.beams = 2}, {9}, 5);
  EXPECT_EQ(search.candidates(), 4);
  EXPECT_EQ(Pairs(search.Step({Row({{1, -0.5}, {2, -1.0}, {3, -2.0}})})), (Beams{{0, 1}, {0, 2}}));
  EXPECT_EQ(Pairs(search.Step({Row({{4, -3.0}}), Row({{5, -0.1}, {6, -0.2}})})), (Beams{{1, 5}, {1, 6}}));
}

TEST(BeamSearchTest, EndsBeyondTheFirstRanksAreNoHypotheses) {
  BeamSearch search({.beams = 2}, {8, 9}, 5);
  EXPECT_EQ(search.candidates(), 6);
  EXPECT_EQ(Pairs(search.Step({Row({{9, -0.1}, {1, -1.0}, {8, -1.5}, {2, -2.0}})})), (Beams{{0, 1}, {0, 2}}));
  ASSERT_EQ(search.Finished().size(), 1u);
  EXPECT_EQ(IdsOf(search.Finished()[0]), Tokens{9});
}

TEST(BeamSearchTest, TiesGoToTheEarlierBeamThenTheLowerId) {
  BeamSearch search({.beams = 2}, {9}, 5);
  (void)search.Step({Row({{1, -1.0}, {2, -1.0}})});
  EXPECT_EQ(Pairs(search.Step({Row({{5, -1.0}, {6, -1.0}}), Row({{3, -1.0}})})), (Beams{{0, 5}, {0, 6}}));
}

/// Two hypotheses are there after the second step; what then can still come decides.
bool EndsAfterTwo(EarlyStopping early_stopping, double length_penalty, double running) {
  BeamSearch search({.beams = 2, .length_penalty = length_penalty, .early_stopping = early_stopping}, {9}, 4);
  (void)search.Step({Row({{9, -1.0}, {1, -1.1}, {2, -1.2}})});
  (void)search.Step({Row({{9, -0.1}, {3, running + 1.1}}), Row({{4, -9.0}})});
  return search.done();
}

TEST(BeamSearchTest, EarlyStoppingSaysWhenEnoughIsEnough) {
  // Worst of the two: -1.2 without, -1.0 with a length penalty of 1 (then the other one has -0.6).
  EXPECT_TRUE(EndsAfterTwo(EarlyStopping::kYes, 0.0, -1.15)) << "whatever might come";
  EXPECT_FALSE(EndsAfterTwo(EarlyStopping::kNo, 1.0, -1.9));
  EXPECT_TRUE(EndsAfterTwo(EarlyStopping::kNo, 1.0, -2.1)) << "-2.1 / 2 is worse than -1";
  EXPECT_FALSE(EndsAfterTwo(EarlyStopping::kNever, 1.0, -2.1)) << "-2.1 / 4 is better than -1";
  EXPECT_TRUE(EndsAfterTwo(EarlyStopping::kNever, 1.0, -4.1));
  EXPECT_TRUE(EndsAfterTwo(EarlyStopping::kNever, 0.0, -1.3));
}

TEST(BeamSearchTest, LengthPenaltyDividesByGeneratedTokens) {
  BeamSearch search({.beams = 1, .length_penalty = 2.0}, {9}, 2);
  (void)search.Step({Row({{1, -1.0}})});
  EXPECT_TRUE(search.Step({Row({{2, -0.5}})}).empty());
  EXPECT_TRUE(search.done());
  EXPECT_DOUBLE_EQ(search.Finished()[0].score, -1.5 / 4.0);
  EXPECT_FALSE(search.Finished()[0].ended);
}

TEST(BeamSearchTest, RowsThatNameNothingEndIt) {
  BeamSearch search({.beams = 3}, {9}, 5);
  EXPECT_EQ(search.Step({Row({{1, -1.0}})}).size(), 1u) << "fewer tokens than beams";
  EXPECT_TRUE(search.Step({Row({})}).empty());
  EXPECT_TRUE(search.done());
  EXPECT_TRUE(search.Finished().empty());
}

TEST(RankTokensTest, BiasThenPenaltiesWorkOnLogprobs) {
  const std::vector<float> logits = {1.0f, 2.0f, 0.5f, 0.0f, -1.0f};
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  auto logprob = [&](int32_t token) { return logits[token] - std::log(sum); };
  SamplingParams params{.repetition_penalty = 1.5, .frequency_penalty = 0.25, .presence_penalty = 0.5};
  params.logit_bias = {{0, 1.0}, {3, -100.0}, {4, 10.0}};
  params.logprobs = 2;
  const BeamRow row = *Rank(logits, params, std::vector<int32_t>{0, 4}, std::vector<int32_t>{1, 1}, 5);
  ASSERT_EQ(row.candidates.size(), 4u) << "a forbidden token is no candidate";
  const std::vector<std::pair<int32_t, double>> expected = {{4, (logprob(4) + 10.0) / 1.5},
                                                            {0, (logprob(0) + 1.0) * 1.5},
                                                            {1, logprob(1) * 1.5 - 2 * 0.25 - 0.5},
                                                            {2, logprob(2)}};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(row.candidates[i].token_id, expected[i].first);
    EXPECT_NEAR(row.candidates[i].score, expected[i].second, 1e-5);
    EXPECT_NEAR(row.candidates[i].logprob, logprob(expected[i].first), 1e-5) << "the model's own";
  }
  ASSERT_EQ(row.top.size(), 2u);
  EXPECT_EQ(row.top[0].token_id, 1);
}

TEST(RankTokensTest, NamesTheBestWhateverTheSize) {
  std::mt19937 random(3);
  for (const size_t size : {1u, 2u, 7u, 511u, 513u, 2000u}) {
    std::vector<float> logits(size);
    for (float& logit : logits) logit = static_cast<float>(random() % 50) * 0.25f;  // with ties
    std::vector<int32_t> order(size);
    for (size_t i = 0; i < size; ++i) order[i] = static_cast<int32_t>(i);
    std::ranges::stable_sort(order, std::greater<>(), [&](int32_t id) { return logits[id]; });
    const BeamRow row = *Rank(logits, {}, {}, {}, 8);
    ASSERT_EQ(row.candidates.size(), std::min<size_t>(size, 8));
    for (size_t i = 0; i < row.candidates.size(); ++i) EXPECT_EQ(row.candidates[i].token_id, order[i]);
  }
}

TEST(RankTokensTest, SkipsWhatIsNotFiniteAndRefusesWhenNothingIs) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const BeamRow row = *Rank(std::vector<float>{nan, 1.0f, -infinity, 3e38f}, {}, {}, {}, 4);
  ASSERT_EQ(row.candidates.size(), 2u);
  EXPECT_EQ(row.candidates[0].token_id, 3);
  for (const std::vector<float>& broken :
       {std::vector<float>{nan, nan}, {-infinity, nan}, {1.0f, infinity}}) {
    EXPECT_EQ(Rank(broken, {}, {}, {}, 2).status().code(), StatusCode::kInternal);
  }
}

TEST(BeamParamsTest, RefusesWhatIsOutsideItsRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(Validate(BeamParams{.beams = kMostBeams, .length_penalty = -10.0}).ok());
  EXPECT_EQ(Validate(BeamParams{.beams = kMostBeams + 1}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Validate(BeamParams{.beams = -1}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Validate(BeamParams{.beams = 2, .length_penalty = 10.5}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Validate(BeamParams{.beams = 2, .length_penalty = nan}).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace conclave::engine
