#include <gmock/gmock.h>

#include "engine/model/language_model.h"
#include "tests/unit/engine/model/bigram_model.h"
#include "tests/unit/engine/model/loaded_model.h"

namespace conclave::engine {
namespace {

using testing::BigramModel;
using ::testing::HasSubstr;
using testing::LoadedModel;
using testing::MatrixType;
using testing::SomeTokens;

/// float32 logits near 4 are exact to 2^-22, and a cost is a difference of two of them.
constexpr double kCostTolerance = 4.0 * 0x1p-22;

class ScoreTextTest : public ::testing::Test {
 protected:
  Result<TextScore> Score(const std::vector<int32_t>& tokens, int64_t window) {
    progress_.clear();
    return ScoreText(*bigram_.model, tokens, window,
                     [&](int64_t done, int64_t total) { progress_.emplace_back(done, total); });
  }

  BigramModel bigram_;
  std::vector<std::pair<int64_t, int64_t>> progress_;
};

TEST_F(ScoreTextTest, CountsAndCostsOfAPredictableText) {
  const auto score = Score(BigramModel::CountingUp(8 * 5), 8);
  ASSERT_TRUE(score.ok()) << score.status().ToString();
  EXPECT_EQ(score->windows, 5);
  EXPECT_EQ(score->scored_tokens, 5 * 3) << "positions 4, 5 and 6 of each window predict 5, 6 and 7";
  EXPECT_NEAR(score->Mean(), BigramModel::Cost(0, 1), kCostTolerance);
  EXPECT_NEAR(score->nll_sum, 15 * BigramModel::Cost(0, 1), 15 * kCostTolerance);
}

/// One surprising step costs exactly where a window scores it: at window / 2 + 1 to window - 1.
TEST_F(ScoreTextTest, ScoresTheSecondHalfOfEachWindowAndNothingElse) {
  const double expected = BigramModel::Cost(0, 1);
  const double surprise = BigramModel::Cost(0, 0);
  ASSERT_GT(surprise, expected + 1.0);
  for (const int64_t window : {4, 7, 8, 13}) {
    const int64_t length = 2 * window;
    const int64_t scored = 2 * (window - 1 - window / 2);
    for (int64_t at = 1; at < length; ++at) {
      auto tokens = BigramModel::CountingUp(length);
      // Everything from `at` on is one behind: only the step to `at` is not to the successor.
      for (int64_t i = at; i < length; ++i) {
        tokens[i] = static_cast<int32_t>((i + BigramModel::kVocabulary - 1) % BigramModel::kVocabulary);
      }
      const auto score = Score(tokens, window);
      ASSERT_TRUE(score.ok()) << score.status().ToString();
      EXPECT_EQ(score->scored_tokens, scored);
      const bool costs = at % window > window / 2;
      EXPECT_NEAR(score->nll_sum,
                  static_cast<double>(scored) * expected + (costs ? surprise - expected : 0.0),
                  static_cast<double>(scored) * kCostTolerance)
          << "window " << window << ", step to " << at;
    }
  }
}

TEST_F(ScoreTextTest, RestThatIsShorterThanAWindowIsLeftOut) {
  auto tokens = BigramModel::CountingUp(8 * 2);
  const double whole = Score(tokens, 8)->nll_sum;
  for (int i = 0; i < 7; ++i) {
    tokens.push_back(0);
    const auto score = Score(tokens, 8);
    ASSERT_TRUE(score.ok());
    EXPECT_EQ(score->windows, 2);
    EXPECT_EQ(score->nll_sum, whole);
  }
  tokens.push_back(0);
  EXPECT_EQ(Score(tokens, 8)->windows, 3);
}

TEST_F(ScoreTextTest, WindowLargerThanOnePassOfTheModel) {
  const auto score = Score(BigramModel::CountingUp(299), 299);
  ASSERT_TRUE(score.ok()) << score.status().ToString();
  EXPECT_EQ(score->scored_tokens, 299 - 1 - 149);
  EXPECT_NEAR(score->Mean(), BigramModel::Cost(0, 1), kCostTolerance);
}

TEST_F(ScoreTextTest, TellsItsProgress) {
  ASSERT_TRUE(Score(BigramModel::CountingUp(8 * 3), 8).ok());
  EXPECT_EQ(progress_, (std::vector<std::pair<int64_t, int64_t>>{{1, 3}, {2, 3}, {3, 3}}));
}

TEST_F(ScoreTextTest, RefusesWindowsThatAreNone) {
  const auto tokens = BigramModel::CountingUp(400);
  for (const int64_t window : {INT64_MIN, int64_t{-8}, int64_t{0}, int64_t{3}, int64_t{301}, INT64_MAX}) {
    const auto score = Score(tokens, window);
    EXPECT_EQ(score.status().code(), StatusCode::kInvalidArgument) << window;
    EXPECT_THAT(score.status().message(), HasSubstr("4 to 300 are possible"));
  }
  EXPECT_TRUE(Score(tokens, 4).ok());
  EXPECT_TRUE(Score(tokens, 300).ok());
}

TEST_F(ScoreTextTest, RefusesTextsShorterThanAWindow) {
  for (const int64_t count : {0, 1, 7}) {
    const auto score = Score(BigramModel::CountingUp(count), 8);
    EXPECT_EQ(score.status().code(), StatusCode::kInvalidArgument) << count;
    EXPECT_THAT(score.status().message(), HasSubstr("at least one window of 8"));
  }
  EXPECT_TRUE(progress_.empty());
}

TEST_F(ScoreTextTest, RefusesTokensOutsideTheVocabulary) {
  auto tokens = BigramModel::CountingUp(24);
  tokens[10] = BigramModel::kVocabulary;
  EXPECT_EQ(Score(tokens, 8).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(progress_.size(), 1u) << "the first window was good";
}

/// With a model that does look back: each window starts from nothing, whatever came before it.
TEST(ScoreTextOfALlamaTest, WindowsAreSequencesOfTheirOwn) {
  constexpr int64_t kWindow = 150;
  const conclave::testing::TemporaryFolder folder;
  const std::string path =
      folder.Write("small.gguf", conclave::testing::SmallLlama(MatrixType::kQ8_0).Bytes());
  const auto model = LanguageModel::Load(path, 0, std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  const auto tokens = SomeTokens(2 * kWindow, 1);
  LoadedModel other(MatrixType::kQ8_0, 1);
  double expected = 0.0;
  for (int64_t begin = 0; begin < 2 * kWindow; begin += kWindow) {
    const std::vector<int32_t> part(tokens.begin() + begin, tokens.begin() + begin + kWindow);
    const auto logits = other.Logits(part, kWindow);
    for (int64_t i = kWindow / 2; i + 1 < kWindow; ++i) {
      const float* row = logits.data() + i * other.vocabulary();
      double sum = 0.0;
      for (int64_t id = 0; id < other.vocabulary(); ++id) sum += std::exp(static_cast<double>(row[id]));
      expected += std::log(sum) - row[part[i + 1]];
    }
  }
  const auto score = ScoreText(**model, tokens, kWindow, [](int64_t, int64_t) {});
  ASSERT_TRUE(score.ok()) << score.status().ToString();
  // The logits are equal; the sums are taken in float64 in another way.
  EXPECT_NEAR(score->nll_sum, expected, 1e-12 * 2 * kWindow * expected);
}

}  // namespace
}  // namespace conclave::engine
