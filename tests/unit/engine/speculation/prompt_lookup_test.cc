#include "engine/speculation/prompt_lookup.h"

#include <random>

#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

using Tokens = std::vector<int32_t>;

TEST(PromptLookupTest, GoesOnAsAfterTheLastOccurrence) {
  PromptLookup lookup;
  lookup.Append(Tokens{1, 2, 3, 9, 8, 7, 1, 2, 3});
  EXPECT_EQ(lookup.Draft(2), (Tokens{9, 8}));
  EXPECT_EQ(lookup.Draft(100), (Tokens{9, 8, 7, 1, 2, 3})) << "no further than the text";
  EXPECT_EQ(lookup.Draft(0), Tokens{});
  lookup.Append(Tokens{5, 1, 2, 3});
  EXPECT_EQ(lookup.Draft(2), (Tokens{5, 1})) << "the last occurrence counts";
}

TEST(PromptLookupTest, ThreeTokensSayMoreThanTwo) {
  PromptLookup lookup;
  lookup.Append(Tokens{1, 2, 3, 40, 9, 2, 3, 50, 1, 2, 3});
  EXPECT_EQ(lookup.Draft(1), Tokens{40});
  PromptLookup pair;
  pair.Append(Tokens{2, 3, 50, 1, 2, 3});
  EXPECT_EQ(pair.Draft(1), Tokens{50});
}

TEST(PromptLookupTest, NewTextHasNoGuess) {
  PromptLookup lookup;
  EXPECT_EQ(lookup.Draft(4), Tokens{});
  lookup.Append(Tokens{1});
  EXPECT_EQ(lookup.Draft(4), Tokens{});
  lookup.Append(Tokens{2, 3, 4});
  EXPECT_EQ(lookup.Draft(4), Tokens{});
  lookup.Append(Tokens{4, 4});
  EXPECT_EQ(lookup.Draft(4), Tokens{4}) << "a repetition that overlaps itself";
}

/// What a search through the whole text finds.
Tokens DraftBySearch(const Tokens& text, int64_t most) {
  const auto end = static_cast<int64_t>(text.size());
  for (int64_t length = std::min<int64_t>(3, end); length >= 2; --length) {
    for (int64_t at = end - 1; at >= length; --at) {
      if (!std::equal(text.end() - length, text.end(), text.begin() + at - length)) continue;
      return {text.begin() + at, text.begin() + std::min(end, at + most)};
    }
  }
  return {};
}

TEST(PromptLookupTest, AgreesWithASearchThroughTheText) {
  std::mt19937 random(5);
  for (int round = 0; round < 50; ++round) {
    PromptLookup lookup;
    Tokens text;
    const int32_t vocabulary = 2 + random() % 20;
    for (int i = 0; i < 60; ++i) {
      Tokens more(random() % 4);
      for (int32_t& token : more) token = static_cast<int32_t>(random() % vocabulary);
      lookup.Append(more);
      text.insert(text.end(), more.begin(), more.end());
      const int64_t most = random() % 8;
      ASSERT_EQ(lookup.Draft(most), DraftBySearch(text, most));
    }
  }
}

TEST(DraftBudgetTest, GuessesMoreWhileTheyComeTrue) {
  DraftBudget budget(8);
  EXPECT_EQ(budget.Next(), DraftBudget::kFirstDrafts);
  budget.Learn(budget.Next(), 2);
  EXPECT_EQ(budget.Next(), 2);
  budget.Learn(2, 2);
  EXPECT_EQ(budget.Next(), 4);
  budget.Learn(4, 4);
  budget.Learn(8, 8);
  EXPECT_EQ(budget.Next(), 8);
}

TEST(DraftBudgetTest, WrongGuessesBecomeRare) {
  DraftBudget budget(8);
  int64_t guessed = 0;
  for (int step = 0; step < 1000; ++step) {
    const int64_t count = budget.Next();
    guessed += count;
    if (count > 0) budget.Learn(count, 0);
  }
  EXPECT_LT(guessed, 30);
  EXPECT_GT(guessed, 10) << "it tries again now and then";
  EXPECT_EQ(DraftBudget(0).Next(), 0);
}

}  // namespace
}  // namespace conclave::engine
