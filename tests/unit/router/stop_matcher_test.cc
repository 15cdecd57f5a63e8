#include "services/router/stop_matcher.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

namespace conclave::router {
namespace {

struct Outcome {
  std::string text;
  bool matched = false;
  friend bool operator==(const Outcome&, const Outcome&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Outcome& o) {
    return out << '"' << o.text << "\" " << (o.matched ? "stopped" : "open");
  }
};

Outcome Feed(const std::vector<std::string>& stops, const std::vector<std::string>& parts) {
  StopMatcher matcher(stops);
  Outcome outcome;
  for (const std::string& part : parts) outcome.text += matcher.Push(part);
  outcome.matched = matcher.matched();
  if (!outcome.matched) outcome.text += matcher.Flush();
  return outcome;
}

/// The stop text that is complete first ends the answer; of two that end together, the longer.
Outcome Plain(const std::vector<std::string>& stops, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops) {
      if (stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0) {
        longest = std::max(longest, stop.size());
      }
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

TEST(StopMatcherTest, WithoutStopsEverythingPassesAtOnce) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.Push("abc"), "abc");
  EXPECT_EQ(matcher.Flush(), "");
}

TEST(StopMatcherTest, HoldsBackOnlyWhatCouldBecomeAStop) {
  StopMatcher matcher({"\n\nUser:"});
  EXPECT_EQ(matcher.Push("Hello\n"), "Hello");
  EXPECT_EQ(matcher.Push("World"), "\nWorld");
  EXPECT_EQ(matcher.Push("!\n\nUs"), "!");
  EXPECT_FALSE(matcher.matched());
  EXPECT_EQ(matcher.Push("er: more"), "");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.Push("even more"), "");
}

TEST(StopMatcherTest, WhatWasHeldBackComesAtTheEnd) {
  StopMatcher matcher({"stop"});
  EXPECT_EQ(matcher.Push("non-sto"), "non-");
  EXPECT_EQ(matcher.Flush(), "sto");
  EXPECT_EQ(matcher.Flush(), "");
}

TEST(StopMatcherTest, StopThatOverlapsItself) {
  EXPECT_EQ(Feed({"aab"}, {"a", "a", "a", "b"}), (Outcome{"a", true}));
  EXPECT_EQ(Feed({"aaa"}, {"aa", "aa"}), (Outcome{"", true}));
}

TEST(StopMatcherTest, ResultDoesNotDependOnHowTheTextWasCut) {
  const std::vector<std::string> stops{"abc", "b"};
  EXPECT_EQ(Feed(stops, {"xabc"}), Feed(stops, {"x", "a", "b", "c"}));
  EXPECT_EQ(Feed(stops, {"xabc"}), (Outcome{"xa", true}));
}

TEST(StopMatcherTest, AgreesWithThePlainSearchHoweverTheTextIsCut) {
  std::mt19937 random(7);
  auto letters = [&](int least, int most) {
    std::string text(std::uniform_int_distribution<int>(least, most)(random), 'a');
    for (char& c : text) c = static_cast<char>('a' + std::uniform_int_distribution<int>(0, 2)(random));
    return text;
  };
  int stopped = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops(std::uniform_int_distribution<size_t>(1, 3)(random));
    for (std::string& stop : stops) stop = letters(1, 5);
    const std::string text = letters(0, 12);
    std::vector<std::string> parts;
    for (size_t at = 0; at < text.size();) {
      const size_t size = std::uniform_int_distribution<size_t>(0, 4)(random);
      parts.push_back(text.substr(at, size));
      at += parts.back().size();
    }
    const Outcome expected = Plain(stops, text);
    stopped += expected.matched ? 1 : 0;
    ASSERT_EQ(Feed(stops, parts), expected) << "text " << text << ", first stop " << stops[0];
  }
  EXPECT_GT(stopped, 500);
  EXPECT_LT(stopped, 2900);
}

}  // namespace
}  // namespace conclave::router
