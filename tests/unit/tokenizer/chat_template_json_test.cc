#include <gtest/gtest.h>

#include "services/tokenizer/chat_template/json.h"

namespace conclave::tokenizer {
namespace {

std::string RoundTrip(std::string_view text, const JsonStyle& style = {}) {
  Budget budget(kChatTemplateLimits);
  const auto value = ReadJson(text);
  if (!value.ok()) return value.status().message();
  const auto written = WriteJson(budget, *value, style);
  return written.ok() ? *written : written.status().message();
}

TEST(ChatTemplateJson, WritesAsPythonDoes) {
  EXPECT_EQ(RoundTrip(R"({"b":[1,2.0,1e16,true,null],"a":{"é\n\u0001":"\ud83c\udf89"}})"),
            "{\"b\": [1, 2.0, 1e+16, true, null], \"a\": {\"é\\n\\u0001\": \"🎉\"}}");
  EXPECT_EQ(RoundTrip(R"({"b":[1,{}],"a":[]})", {.sort_keys = true, .indent = "  ", .item_separator = ","}),
            "{\n  \"a\": [],\n  \"b\": [\n    1,\n    {}\n  ]\n}");
  EXPECT_EQ(RoundTrip(R"("é🎉")", {.ensure_ascii = true}), R"("\u00e9\ud83c\udf89")");
}

TEST(ChatTemplateJson, KeepsTheLastOfEqualKeysInTheFirstOnesPlace) {
  EXPECT_EQ(RoundTrip(R"({"a":1,"b":2,"a":3})"), R"({"a": 3, "b": 2})");
}

TEST(ChatTemplateJson, RefusesWhatIsNotJson) {
  for (const std::string_view text :
       {"", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "01", "1.", "-", "\"\\x\"", "\"\\ud800\"", "\"\\udc00\"",
        "\"a", "nul", "[1] 2", "\"\n\"", "1e", "'a'", "99999999999999999999"}) {
    EXPECT_EQ(ReadJson(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
}

TEST(ChatTemplateJson, EndsHostileNesting) {
  EXPECT_EQ(ReadJson(std::string(100'000, '[')).status().code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace conclave::tokenizer
