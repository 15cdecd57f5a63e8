#include "services/retriever/text_extraction.h"

#include <chrono>

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "services/retriever/character_references.h"
#include "services/retriever/limits.h"
#include "services/retriever/text_decoding.h"

namespace conclave::retriever {
namespace {

using Blocks = std::vector<std::pair<std::string, std::string>>;

Blocks Pairs(const std::vector<TextBlock>& blocks) {
  Blocks pairs;
  for (const TextBlock& block : blocks) pairs.emplace_back(block.heading, block.text);
  return pairs;
}

std::string Repeat(const std::string& part, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += part;
  return text;
}

TEST(DecodeText, ReadsEveryEncoding) {
  EXPECT_EQ(DecodeText("h\xC3\xA9"), "hé");
  EXPECT_EQ(DecodeText("\xEF\xBB\xBFh\xC3\xA9"), "hé");
  EXPECT_EQ(DecodeText(std::string("\xFF\xFEh\0\xE9\0\x3D\xD8\x00\xDE", 10)), "hé😀");
  EXPECT_EQ(DecodeText(std::string("\xFE\xFF\0h\0\xE9\xD8\x3D\xDE\x00", 10)), "hé😀");
  EXPECT_EQ(DecodeText(""), "");
}

TEST(DecodeText, ReplacesWhatIsIllFormed) {
  EXPECT_EQ(DecodeText("a long enough line \xFF of text"), "a long enough line \uFFFD of text");
  // A lone surrogate and half a code unit, in enough text.
  const std::string good(60, '\0');
  std::string utf16 = "\xFF\xFE";
  for (int i = 0; i < 30; ++i) utf16 += std::string("a\0", 2);
  EXPECT_EQ(DecodeText(utf16 + std::string("\x3D\xD8", 2) + "b"), std::string(30, 'a') + "\uFFFD\uFFFD");
}

TEST(DecodeText, RefusesBinaryFiles) {
  EXPECT_FALSE(DecodeText(std::string("ELF\0text", 8)));
  EXPECT_FALSE(DecodeText("\x89PNG\r\n\x1A\n\x01\x02\x03"));
  EXPECT_FALSE(DecodeText(Repeat("\xFF\xD8", 50)));
  EXPECT_FALSE(DecodeText(std::string("\xFF\xFE\0\0", 4)));
}

TEST(FormatOf, GoesByTheEnding) {
  EXPECT_EQ(FormatOf("a/b.MD"), DocumentFormat::kMarkdown);
  EXPECT_EQ(FormatOf("b.markdown"), DocumentFormat::kMarkdown);
  EXPECT_EQ(FormatOf("x.Html"), DocumentFormat::kHtml);
  EXPECT_EQ(FormatOf("https://a.b/x.htm"), DocumentFormat::kHtml);
  EXPECT_EQ(FormatOf("md"), DocumentFormat::kText);
  EXPECT_EQ(FormatOf("a.md/b"), DocumentFormat::kText);
}

TEST(ExtractText, SkipsWithAReason) {
  EXPECT_EQ(ExtractText("", DocumentFormat::kText).skip_reason, "empty");
  EXPECT_EQ(ExtractText(" \n\t\r\n", DocumentFormat::kMarkdown).skip_reason, "empty");
  EXPECT_EQ(ExtractText("<script>x</script>", DocumentFormat::kHtml).skip_reason, "empty");
  EXPECT_EQ(ExtractText(std::string("\0", 1), DocumentFormat::kText).skip_reason, "not text");
}

TEST(ExtractPlainText, SplitsAtEmptyLines) {
  EXPECT_EQ(Pairs(ExtractPlainText("one\ntwo\r\n \t\r\nthree\n\n\nfour")),
            (Blocks{{"", "one\ntwo"}, {"", "three"}, {"", "four"}}));
}

TEST(ExtractPlainText, DropsControlsAndLongBlanks) {
  EXPECT_EQ(Pairs(ExtractPlainText("a\x01\x1B[0m" + std::string(1000, ' ') + "b\xC2\x85")),
            (Blocks{{"", "a[0m" + std::string(kMaxBlankRun, ' ') + "b"}}));
}

TEST(ExtractMarkdown, KeepsThePathOfHeadings) {
  const auto blocks = ExtractMarkdown(
      "intro\n\n# One #\ntext *a*\n\n## Two\n\nunder two\n### Three\nx\n## "
      "Four\ny\n\nFive\n====\nz\n\nSix\n---\nw\n");
  EXPECT_EQ(Pairs(blocks), (Blocks{{"", "intro"},
                                   {"One", "text *a*"},
                                   {"One > Two", "under two"},
                                   {"One > Two > Three", "x"},
                                   {"One > Four", "y"},
                                   {"Five", "z"},
                                   {"Five > Six", "w"}}));
}

TEST(ExtractMarkdown, KnowsWhatIsNoHeading) {
  EXPECT_EQ(Pairs(ExtractMarkdown("#hashtag\n####### seven\n    # code\n")),
            (Blocks{{"", "#hashtag\n####### seven\n    # code"}}));
  EXPECT_EQ(Pairs(ExtractMarkdown("```sh\n# comment\n\n# more\n```\n# Real\nt")),
            (Blocks{{"", "```sh\n# comment\n\n# more\n```"}, {"Real", "t"}}));
  EXPECT_EQ(Pairs(ExtractMarkdown("~~~~\n~~~\n# a\n~~~~~\nb")), (Blocks{{"", "~~~~\n~~~\n# a\n~~~~~\nb"}}));
  EXPECT_EQ(Pairs(ExtractMarkdown("```never closed\n# a\n")), (Blocks{{"", "```never closed\n# a"}}));
}

TEST(ExtractHtml, ReadsHeadingsAndParagraphs) {
  const auto blocks = ExtractHtml(
      "<!DOCTYPE html><html><head><title>T &amp; "
      "U</title><style>p{}</style><script>if(a<b)\"</p>\"</script></head>"
      "<body><p>Lead\n  text<p>two<h1 class='x>y'>One <em>1</em></h1><ul><li>a<li>b</ul>"
      "<h2>Two</h2><pre>x\n  y</pre><table><tr><td>1<td>2<tr><td>3</table>c<br>d<!-- <p>no --></body>");
  EXPECT_EQ(Pairs(blocks), (Blocks{{"T & U", "Lead text"},
                                   {"T & U", "two"},
                                   {"One 1", "a"},
                                   {"One 1", "b"},
                                   {"One 1 > Two", "x\n  y"},
                                   {"One 1 > Two", "1 2"},
                                   {"One 1 > Two", "3"},
                                   {"One 1 > Two", "c\nd"}}));
}

TEST(ExtractHtml, SurvivesBrokenMarkup) {
  EXPECT_EQ(Pairs(ExtractHtml("a < b & c &lt d &#x41;&#65 &nosuch; </3>x")),
            (Blocks{{"", "a < b & c < d AA &nosuch; x"}}));
  EXPECT_EQ(Pairs(ExtractHtml("<p>text<p class=\"never closed>lost")), (Blocks{{"", "text"}}));
  EXPECT_EQ(Pairs(ExtractHtml("a<script>b</scripty>c</SCRIPT >d")), (Blocks{{"", "ad"}}));
  EXPECT_EQ(Pairs(ExtractHtml("a<!-->b<!--->c<!-- -- --!>d<!--e")), (Blocks{{"", "abcd"}}));
  EXPECT_EQ(Pairs(ExtractHtml("a<template>b<template>c</template>d</template>e")), (Blocks{{"", "ae"}}));
  EXPECT_EQ(Pairs(ExtractHtml("x<")), (Blocks{{"", "x<"}}));
}

TEST(ExtractHtml, AnUnclosedHeadingDoesNotSwallowThePage) {
  const std::string text = Repeat("word ", 2000);
  const auto blocks = ExtractHtml("<h1>" + text + "<p>after");
  size_t bytes = 0;
  for (const TextBlock& block : blocks) bytes += block.text.size();
  EXPECT_GT(bytes, text.size() - 10);
}

// 60 KB of these keep a parser that builds a tree busy for seconds, and exhaust a stack.
TEST(ExtractHtml, HostileNestingCostsNoMoreThanItsLength) {
  for (const std::string part : {"<b>", "<div>", "<table><tr><td>", "<template>", "<p><b a=1>", "<h1>",
                                 "<!--", "&a", "</", "<a href='", "&#", "<script>", "<pre>"}) {
    const auto start = std::chrono::steady_clock::now();
    const auto blocks = ExtractHtml(Repeat(part, (size_t{3} << 20) / part.size()) + "end");
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << part;
    for (const TextBlock& block : blocks) EXPECT_TRUE(IsValidUtf8(block.text));
  }
}

TEST(DecodeCharacterReference, FollowsTheStandard) {
  const auto decode = [](std::string_view text) {
    std::string out;
    const size_t taken = DecodeCharacterReference(text, out);
    return std::pair(taken, out);
  };
  using P = std::pair<size_t, std::string>;
  EXPECT_EQ(decode("&eacute;x"), P(8, "é"));
  EXPECT_EQ(decode("&notit;"), P(4, "¬"));
  EXPECT_EQ(decode("&notin;"), P(7, "∉"));
  EXPECT_EQ(decode("&CounterClockwiseContourIntegral;"), P(33, "∳"));
  EXPECT_EQ(decode("&#x80;"), P(6, "€"));
  EXPECT_EQ(decode("&#0;"), P(4, "\uFFFD"));
  EXPECT_EQ(decode("&#xD800;"), P(8, "\uFFFD"));
  EXPECT_EQ(decode("&#99999999999999999999;"), P(23, "\uFFFD"));
  EXPECT_EQ(decode("&comma;"), P(7, ","));
  EXPECT_EQ(decode("&Tab;"), P(5, "\t"));
  EXPECT_EQ(decode("&"), P(1, "&"));
  EXPECT_EQ(decode("&#x;"), P(1, "&"));
}

}  // namespace
}  // namespace conclave::retriever
