#include <algorithm>
#include <cmath>
#include <set>

#include "tests/unit/engine/model/loaded_model.h"

namespace conclave::engine {
namespace {

using testing::LoadedModel;
using testing::MatrixType;
using testing::SameBits;
using testing::SomeTokens;

using conclave::testing::SmallFeedForward;
using Experts = std::vector<std::vector<int64_t>>;

struct Case {
  SmallFeedForward feed_forward;
  MatrixType type;

  bool dense() const { return feed_forward == SmallFeedForward::kDense; }
  std::string Name() const {
    constexpr const char* kNames[] = {"", "Mixture", "GptOss", "Deepseek"};
    const std::string name = kNames[static_cast<int>(feed_forward)];
    switch (type) {
      case MatrixType::kF32: return name + "F32";
      case MatrixType::kQ4_0: return name + "Q4_0";
      case MatrixType::kQ8_0: return name + "Q8_0";
      case MatrixType::kMxFp4: return name + "MXFP4";
    }
    return name;
  }
};

/// A sequence's logits have the same bits however it is computed.
class BatchInvarianceTest : public ::testing::TestWithParam<Case> {
 protected:
  /// `experts`: which live in each shard.
  static LoadedModel Load(int threads, const Experts& experts) {
    const auto model = conclave::testing::SmallModel(GetParam().feed_forward, GetParam().type, 256);
    return {model, threads, experts};
  }
  static LoadedModel Load(int threads) {
    return Load(threads, GetParam().dense() ? Experts{{0, 1, 2, 3}} : Experts{{0, 1, 2, 3, 4, 5, 6}});
  }
};

INSTANTIATE_TEST_SUITE_P(Models, BatchInvarianceTest,
                         ::testing::Values(Case{SmallFeedForward::kDense, MatrixType::kF32},
                                           Case{SmallFeedForward::kDense, MatrixType::kQ4_0},
                                           Case{SmallFeedForward::kDense, MatrixType::kQ8_0},
                                           Case{SmallFeedForward::kMixture, MatrixType::kF32},
                                           Case{SmallFeedForward::kMixture, MatrixType::kQ4_0},
                                           Case{SmallFeedForward::kGptOss, MatrixType::kF32},
                                           Case{SmallFeedForward::kGptOss, MatrixType::kMxFp4},
                                           Case{SmallFeedForward::kDeepseek, MatrixType::kF32},
                                           Case{SmallFeedForward::kDeepseek, MatrixType::kQ8_0}),
                         [](const auto& info) { return info.param.Name(); });

TEST_P(BatchInvarianceTest, PromptChunksOfAnySize) {
  LoadedModel model = Load(1);
  const auto tokens = SomeTokens(75, 1);
  const auto whole = model.Logits(tokens, 75);
  for (const int64_t chunk : {1, 2, 3, 7, 16, 31, 32, 33, 64, 74}) {
    EXPECT_TRUE(SameBits(whole, model.Logits(tokens, chunk))) << "chunks of " << chunk;
  }
}

TEST_P(BatchInvarianceTest, NumberOfThreads) {
  const auto tokens = SomeTokens(40, 2);
  const auto alone = Load(1).Logits(tokens, 13);
  LoadedModel two = Load(2);
  EXPECT_TRUE(SameBits(alone, two.Logits(tokens, 13)));
  EXPECT_TRUE(SameBits(alone, two.Logits(tokens, 1)));
  EXPECT_TRUE(SameBits(alone, Load(3).Logits(tokens, 40)));
}

TEST_P(BatchInvarianceTest, WhereTheExpertsLive) {
  const auto tokens = SomeTokens(40, 3);
  const auto here = Load(2).Logits(tokens, 16);
  const std::vector<Experts> dense = {{{0, 2}, {1, 3}}, {{3}, {2}, {0, 1}}};
  const std::vector<Experts> mixed = {{{0, 2, 4, 6}, {1, 3, 5}}, {{6}, {5, 0}, {1}, {4, 3, 2}}};
  for (const Experts& experts : GetParam().dense() ? dense : mixed) {
    EXPECT_TRUE(SameBits(here, Load(2, experts).Logits(tokens, 16)));
    EXPECT_TRUE(SameBits(here, Load(1, experts).Logits(tokens, 1)));
  }
}

TEST_P(BatchInvarianceTest, LocalFeedForwardIsNoException) {
  const auto tokens = SomeTokens(9, 4);
  LoadedModel model = Load(2);
  const auto split = model.Logits(tokens, 9);
  LocalFeedForward local(model.shards.front());
  KvSequence cache(*model.kv);
  ASSERT_TRUE(cache.Reserve(9).ok());
  std::vector<float> logits(split.size());
  const SequenceStep step{.cache = &cache, .tokens = tokens, .logits_rows = 9};
  ASSERT_TRUE(model.transformer->Forward({&step, 1}, local, model.pool, logits.data()).ok());
  EXPECT_TRUE(SameBits(split, logits));
}

/// Sequences that join at different steps, with prompts cut as they happen to be, then answer together.
TEST_P(BatchInvarianceTest, WhoSharesTheStep) {
  LoadedModel model = Load(2);
  constexpr int64_t kSequences = 5;
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<float>> alone, together(kSequences);
  std::vector<KvSequence> caches;
  for (int64_t i = 0; i < kSequences; ++i) {
    tokens.push_back(SomeTokens(20 + 9 * i, static_cast<uint32_t>(10 + i)));
    alone.push_back(model.Logits(tokens[i], static_cast<int64_t>(tokens[i].size())));
  }
  for (int64_t i = 0; i < kSequences; ++i) {
    caches.emplace_back(*model.kv);
    ASSERT_TRUE(caches[i].Reserve(static_cast<int64_t>(tokens[i].size())).ok());
  }
  std::mt19937 random(99);
  std::vector<float> logits;
  for (bool work = true; work;) {
    std::vector<SequenceStep> steps;
    std::vector<int64_t> who;
    work = false;
    for (int64_t i = 0; i < kSequences; ++i) {
      const int64_t left = static_cast<int64_t>(tokens[i].size()) - caches[i].length();
      if (left == 0) continue;
      work = true;
      if (random() % 3 == 0) continue;
      const int64_t count = random() % 2 == 0 ? 1 : std::min<int64_t>(left, 1 + random() % 20);
      steps.push_back({.cache = &caches[i],
                       .tokens = {tokens[i].data() + caches[i].length(), static_cast<size_t>(count)},
                       .logits_rows = count});
      who.push_back(i);
    }
    int64_t rows = 0;
    for (const SequenceStep& step : steps) rows += step.logits_rows;
    logits.resize(rows * model.vocabulary());
    ASSERT_TRUE(model.Forward(steps, logits.data()).ok());
    auto from = logits.begin();
    for (size_t i = 0; i < steps.size(); ++i) {
      const auto to = from + steps[i].logits_rows * model.vocabulary();
      together[who[i]].insert(together[who[i]].end(), from, to);
      from = to;
    }
  }
  for (int64_t i = 0; i < kSequences; ++i) {
    EXPECT_TRUE(SameBits(alone[i], together[i])) << "sequence " << i;
  }
}

TEST_P(BatchInvarianceTest, OnlyTheLastRowsWhenOnlyTheyAreWanted) {
  LoadedModel model = Load(1);
  const auto tokens = SomeTokens(12, 5);
  const auto all = model.Logits(tokens, 12);
  KvSequence cache(*model.kv);
  ASSERT_TRUE(cache.Reserve(12).ok());
  std::vector<float> last(2 * model.vocabulary());
  const SequenceStep step{.cache = &cache, .tokens = tokens, .logits_rows = 2};
  ASSERT_TRUE(model.Forward({&step, 1}, last.data()).ok());
  EXPECT_TRUE(SameBits({all.end() - 2 * model.vocabulary(), all.end()}, last));
}

TEST_P(BatchInvarianceTest, TheModelTellsTokensAndOrdersApart) {
  LoadedModel model = Load(1);
  std::set<float> first_logits;
  for (const std::vector<int32_t>& tokens :
       {std::vector<int32_t>{1, 2, 3, 4}, {2, 1, 3, 4}, {1, 2, 3, 5}, {1, 2, 2, 4}, {1, 3, 2, 4}}) {
    first_logits.insert(model.Logits(tokens, 4)[3 * model.vocabulary()]);
  }
  EXPECT_EQ(first_logits.size(), 5u);
}

}  // namespace
}  // namespace conclave::engine
