#include "base/utf8.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace conclave {
namespace {

using namespace std::string_view_literals;

struct Case {
  std::string_view text;
  std::string_view replaced;  ///< What Python's bytes.decode("utf-8", errors="replace").encode() gives.
  size_t valid_prefix;        ///< UnicodeDecodeError.start, or the size.
};

/// Overlong forms, surrogates, characters beyond U+10FFFF, cut and interrupted sequences, all as CPython
/// decodes them.
constexpr Case kCases[] = {
    {""sv, ""sv, 0},
    {"\x70\x6c\x61\x69\x6e"sv, "\x70\x6c\x61\x69\x6e"sv, 5},
    {"\x68\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"sv, "\x68\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"sv, 10},
    {"\x80"sv, "\xef\xbf\xbd"sv, 0},
    {"\xbf\xbf"sv, "\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\x61\xc3"sv, "\x61\xef\xbf\xbd"sv, 1},
    {"\xc3\x28"sv, "\xef\xbf\xbd\x28"sv, 0},
    {"\xe2\x82"sv, "\xef\xbf\xbd"sv, 0},
    {"\xe2\x82\x28"sv, "\xef\xbf\xbd\x28"sv, 0},
    {"\xe2\x28\xa1"sv, "\xef\xbf\xbd\x28\xef\xbf\xbd"sv, 0},
    {"\xf0\x9f\x98"sv, "\xef\xbf\xbd"sv, 0},
    {"\xf0\x9f\x98\x28"sv, "\xef\xbf\xbd\x28"sv, 0},
    {"\xf0\x9f\x28\x80"sv, "\xef\xbf\xbd\x28\xef\xbf\xbd"sv, 0},
    {"\xf0\x28\x8c\xbc"sv, "\xef\xbf\xbd\x28\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xc0\xaf"sv, "\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xc1\xbf"sv, "\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xe0\x80\xaf"sv, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xe0\x9f\xbf"sv, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xf0\x80\x80\xaf"sv, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xf0\x8f\xbf\xbf"sv, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xed\xa0\x80"sv, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xed\xbf\xbf"sv, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xed\x9f\xbf"sv, "\xed\x9f\xbf"sv, 3},
    {"\xee\x80\x80"sv, "\xee\x80\x80"sv, 3},
    {"\xf4\x8f\xbf\xbf"sv, "\xf4\x8f\xbf\xbf"sv, 4},
    {"\xf4\x90\x80\x80"sv, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xf5\x80\x80\x80"sv, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xf8\x88\x80\x80\x80"sv, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xfe\xff"sv, "\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xef\xbf\xbe"sv, "\xef\xbf\xbe"sv, 3},
    {"\xef\xbb\xbf\x61"sv, "\xef\xbb\xbf\x61"sv, 4},
    {"\xf0\x9f\x98\xf0\x9f\x98\x80"sv, "\xef\xbf\xbd\xf0\x9f\x98\x80"sv, 0},
    {"\xe2\xe2\x82\xac"sv, "\xef\xbf\xbd\xe2\x82\xac"sv, 0},
    {"\xc3\xc3\xa9"sv, "\xef\xbf\xbd\xc3\xa9"sv, 0},
    {"\x6f\x6b\xff\x6f\x6b\x00\xc2\x80"sv, "\x6f\x6b\xef\xbf\xbd\x6f\x6b\x00\xc2\x80"sv, 2},
    {"\xed\xa0\xbd\xed\xb8\x80"sv,
     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"sv, 0},
    {"\xf1\x80\xc2\xa9"sv, "\xef\xbf\xbd\xc2\xa9"sv, 0},
    {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"sv, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x41"sv, 0},
};

TEST(Utf8Test, ReplacesAsPythonDoes) {
  for (const Case& c : kCases) {
    const std::string replaced = ReplaceInvalidUtf8(c.text);
    EXPECT_EQ(replaced, c.replaced) << ::testing::PrintToString(c.text);
    EXPECT_TRUE(IsValidUtf8(replaced));
  }
}

TEST(Utf8Test, EscapesSoThatNamesStayApart) {
  EXPECT_EQ(EscapeInvalidUtf8("caf\xe9.txt"), "caf\\xE9.txt");
  EXPECT_EQ(EscapeInvalidUtf8("a\xe2\x82"), "a\\xE2\\x82");
  EXPECT_EQ(EscapeInvalidUtf8("a\xe2\x82\xac"), "a\xe2\x82\xac");
}

TEST(Utf8Test, FindsTheFirstInvalidByte) {
  for (const Case& c : kCases) {
    EXPECT_EQ(ValidUtf8Prefix(c.text), c.valid_prefix) << ::testing::PrintToString(c.text);
    EXPECT_EQ(IsValidUtf8(c.text), c.valid_prefix == c.text.size());
  }
}

TEST(Utf8Test, IncompleteSuffixIsWhatMoreBytesCouldComplete) {
  EXPECT_EQ(IncompleteUtf8Suffix(""), 0u);
  EXPECT_EQ(IncompleteUtf8Suffix("abc"), 0u);
  EXPECT_EQ(IncompleteUtf8Suffix("a\xc3"), 1u);
  EXPECT_EQ(IncompleteUtf8Suffix("a\xc3\xa9"), 0u);
  EXPECT_EQ(IncompleteUtf8Suffix("a\xe2\x82"), 2u);
  EXPECT_EQ(IncompleteUtf8Suffix("a\xf0\x9f\x98"), 3u);
  EXPECT_EQ(IncompleteUtf8Suffix("\xf0\x9f\x98\x80"), 0u);
  // Nothing can complete these: a lone continuation, an overlong form, a surrogate, a byte that begins
  // nothing.
  EXPECT_EQ(IncompleteUtf8Suffix("a\x80"), 0u);
  EXPECT_EQ(IncompleteUtf8Suffix("a\xe0\x80"), 0u);
  EXPECT_EQ(IncompleteUtf8Suffix("a\xed\xa0"), 0u);
  EXPECT_EQ(IncompleteUtf8Suffix("a\xff"), 0u);
  // An interrupted character before a cut one.
  EXPECT_EQ(IncompleteUtf8Suffix("\xf0\x9f\xe2\x82"), 2u);
}

TEST(Utf8Test, SplittingAnywhereNeverEmitsHalfACharacter) {
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    const std::string_view head = std::string_view(text).substr(0, cut);
    const size_t kept = head.size() - IncompleteUtf8Suffix(head);
    EXPECT_TRUE(IsValidUtf8(head.substr(0, kept))) << cut;
    EXPECT_LE(head.size() - kept, 3u);
  }
}

}  // namespace
}  // namespace conclave
