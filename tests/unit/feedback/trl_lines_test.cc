#include "services/feedback/trl_lines.h"

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "services/feedback/json_text.h"
#include "tests/unit/feedback/feedback_fixture.h"

namespace conclave::feedback {
namespace {

constexpr auto kChat = v1::EXPORT_STYLE_CONVERSATIONAL;
constexpr auto kRaw = v1::EXPORT_STYLE_STANDARD;

std::string Json(std::string_view text) {
  std::string json;
  AppendJsonString(json, text);
  return json;
}

TEST(TrlLines, PreferenceOfAChat) {
  EXPECT_EQ(PreferenceLine(kChat, ChatAnswer("a", "Hello?"), "Hi.", "No."),
            R"({"prompt": [{"role": "user", "content": "Hello?"}], )"
            R"("chosen": [{"role": "assistant", "content": "Hi."}], )"
            R"("rejected": [{"role": "assistant", "content": "No."}]})");
}

TEST(TrlLines, PreferenceOfARawPrompt) {
  EXPECT_EQ(PreferenceLine(kRaw, RawAnswer("a", "Once", ""), " upon", " twice"),
            R"({"prompt": "Once", "chosen": " upon", "rejected": " twice"})");
}

TEST(TrlLines, EqualTextsPreferNothing) {
  EXPECT_FALSE(PreferenceLine(kChat, ChatAnswer("a"), "Hi.", "Hi.").has_value());
}

TEST(TrlLines, Unpaired) {
  EXPECT_EQ(UnpairedLine(kChat, ChatAnswer("a", "Hello?", "Hi."), true),
            R"({"prompt": [{"role": "user", "content": "Hello?"}], )"
            R"("completion": [{"role": "assistant", "content": "Hi."}], "label": true})");
  EXPECT_EQ(UnpairedLine(kRaw, RawAnswer("a", "Once", " upon"), false),
            R"({"prompt": "Once", "completion": " upon", "label": false})");
}

TEST(TrlLines, SftKeepsTheWholeConversation) {
  v1::RecordRequest answer = ChatAnswer("a", "Hello?");
  answer.mutable_messages(0)->set_role(v1::ROLE_SYSTEM);
  v1::ChatMessage& tool = *answer.add_messages();
  tool.set_role(v1::ROLE_TOOL);
  tool.set_content("42");
  EXPECT_EQ(SftLine(kChat, answer, "Hi."),
            R"({"messages": [{"role": "system", "content": "Hello?"}, {"role": "tool", "content": "42"}, )"
            R"({"role": "assistant", "content": "Hi."}]})");
  EXPECT_EQ(SftLine(kRaw, RawAnswer("a", "Once", ""), " upon"),
            R"({"prompt": "Once", "completion": " upon"})");
}

TEST(TrlLines, AnExportHoldsOneStyle) {
  EXPECT_FALSE(UnpairedLine(kRaw, ChatAnswer("a"), true).has_value());
  EXPECT_FALSE(UnpairedLine(kChat, RawAnswer("a", "Once", ""), true).has_value());
  EXPECT_TRUE(UnpairedLine(v1::EXPORT_STYLE_UNSPECIFIED, ChatAnswer("a"), true).has_value());
  v1::RecordRequest tokens_only = RawAnswer("a", "", "x");
  EXPECT_FALSE(SftLine(kRaw, tokens_only, "x").has_value());
  EXPECT_FALSE(SftLine(kChat, tokens_only, "x").has_value());
}

TEST(TrlLines, RatingHoldsWhatWasRated) {
  v1::ExportedRating rating;
  rating.set_rating_id("r1");
  *rating.mutable_response() = ChatAnswer("a");
  const std::string line = RatingLine(rating).value();
  for (const char* part :
       {R"("rating_id":"r1")", R"("seed":"18446744073709551615")", R"("sampling_logprobs":[-0.5,-1.25])",
        R"("model_hash":"aaaa)", R"("adapter_hash":"bbbb)"}) {
    EXPECT_NE(line.find(part), std::string::npos) << part << " in " << line;
  }
  EXPECT_EQ(line.find('\n'), std::string::npos);
}

TEST(JsonText, EscapesWhatRfc8259Asks) {
  EXPECT_EQ(Json("\"\\\b\f\n\r\t\x01\x1f"), R"("\"\\\u0008\u000c\n\r\t\u0001\u001f")");
  EXPECT_EQ(Json(std::string_view("\0", 1)), R"("\u0000")");
  EXPECT_EQ(Json("/é😀\x7f"), "\"/é😀\x7f\"");
}

TEST(JsonText, NoReaderSeesALineEnd) {
  EXPECT_EQ(Json("a\u0085b\u2028c\u2029d"), R"("a\u0085b\u2028c\u2029d")");
}

TEST(JsonText, IsUtf8WhateverComes) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string text = {static_cast<char>(first), static_cast<char>(second), '\xc2'};
      ASSERT_TRUE(IsValidUtf8(Json(text))) << first << " " << second;
    }
  }
}

}  // namespace
}  // namespace conclave::feedback
