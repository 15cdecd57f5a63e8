#include "services/retriever/analyzer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/utf8.h"
#include "services/retriever/limits.h"

namespace conclave::retriever {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Analyze(std::string_view text, const std::string& language = "english") {
  auto analyzer = Analyzer::Make(language);
  EXPECT_TRUE(analyzer.ok()) << analyzer.status().ToString();
  return analyzer->Analyze(text);
}

TEST(Analyzer, StemsEnglish) {
  EXPECT_THAT(Analyze("The Foxes were JUMPING, quickly; don't stop!"),
              ElementsAre("the", "fox", "were", "jump", "quick", "don't", "stop"));
  EXPECT_THAT(Analyze("connection connected connecting"), ElementsAre("connect", "connect", "connect"));
}

TEST(Analyzer, FoldsCaseWidthAndQuotes) {
  EXPECT_THAT(Analyze("STRASSE straße ＡＢＣ don’t _emphasis_ foo_bar"),
              ElementsAre("strass", "strass", "abc", "don't", "emphasi", "foo_bar"));
  EXPECT_THAT(Analyze("__init__ _ _x"), ElementsAre("init", "x"));
  EXPECT_THAT(Analyze("3.14 x86 2024"), ElementsAre("3.14", "x86", "2024"));
}

TEST(Analyzer, BreaksScriptsWithoutBlanks) {
  EXPECT_THAT(Analyze("我们在北京大学"), ElementsAre("我们", "在", "北京", "大学"));
  EXPECT_GT(Analyze("東京都に住んでいます").size(), 3u);
  EXPECT_GT(Analyze("ภาษาไทยเขียนติดกัน").size(), 2u);
}

TEST(Analyzer, LeavesOutWhatIsNoWord) {
  EXPECT_THAT(Analyze(" \n.,;!?—… 😀 ___ "), IsEmpty());
  EXPECT_THAT(Analyze(""), IsEmpty());
}

TEST(Analyzer, BoundsTerms) {
  std::string marks = "e";
  for (int i = 0; i < 100'000; ++i) marks += "\u0301";
  for (const std::string& text : {std::string(300'000, 'x'), marks}) {
    for (const std::string& term : Analyze(text)) {
      EXPECT_LE(term.size(), kMaxTermBytes);
      EXPECT_TRUE(IsValidUtf8(term));
      EXPECT_FALSE(term.empty());
    }
  }
}

TEST(Analyzer, AWindowsEndSplitsNoWord) {
  std::string text;
  for (int i = 0; i < 40'000; ++i) text += "alphabet ";
  const auto terms = Analyze(text);
  EXPECT_EQ(terms.size(), 40'000u);
  for (const std::string& term : terms) ASSERT_EQ(term, "alphabet");
}

TEST(Analyzer, OtherLanguages) {
  EXPECT_THAT(Analyze("Häuser", "german"), ElementsAre("haus"));
  const auto missing = Analyzer::Make("klingon");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(missing.status().message().find("klingon"), std::string::npos);
}

}  // namespace
}  // namespace conclave::retriever
