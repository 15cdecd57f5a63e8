#include <gtest/gtest.h>

#include "services/tokenizer/chat_template/compare.h"
#include "services/tokenizer/chat_template/operators.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/to_text.h"
#include "services/tokenizer/chat_template/value.h"

namespace conclave::tokenizer {
namespace {

TEST(ChatTemplateValue, FindsKeysAsPythonDoesInSmallAndLargeDicts) {
  for (const int size : {2, 100}) {
    Value::Entries entries;
    for (int i = 0; i < size; ++i) entries.emplace_back(Value::Int(i), Value::String(std::to_string(i)));
    entries.emplace_back(Value::String("1"), Value::String("text"));
    entries.emplace_back(Value::Tuple({Value::Int(1)}), Value::String("tuple"));
    const Value dict = Value::Dict(std::move(entries));
    EXPECT_EQ(dict.AsDict().Find(Value::Bool(true))->AsString(), "1");
    EXPECT_EQ(dict.AsDict().Find(Value::Float(1.0))->AsString(), "1");
    EXPECT_EQ(dict.AsDict().Find("1")->AsString(), "text");
    EXPECT_EQ(dict.AsDict().Find(Value::Tuple({Value::Float(1)}))->AsString(), "tuple");
    EXPECT_EQ(dict.AsDict().Find(Value::Float(1.5)), nullptr);
    EXPECT_EQ(dict.AsDict().Find(Value()), nullptr);
  }
}

TEST(ChatTemplateValue, ComparesWholeAndRealNumbersExactly) {
  const Value large = Value::Int((int64_t{1} << 53) + 1);
  EXPECT_EQ(CompareNumbers(large, Value::Float(9007199254740992.0)), 1);
  EXPECT_EQ(CompareNumbers(Value::Int(2), Value::Float(2.0)), 0);
  EXPECT_EQ(CompareNumbers(Value::Float(0.0 / 0.0), Value::Int(0)), 2);
}

TEST(ChatTemplateValue, WritesRealNumbersWithTheFewestDigits) {
  EXPECT_EQ(FloatText(0.1), "0.1");
  EXPECT_EQ(FloatText(1e16), "1e+16");
  EXPECT_EQ(FloatText(1e15), "1000000000000000.0");
  EXPECT_EQ(FloatText(0.0001), "0.0001");
  EXPECT_EQ(FloatText(1.5e-5), "1.5e-05");
  EXPECT_EQ(FloatText(-0.0), "-0.0");
}

TEST(ChatTemplateValue, SortsStablyAndEndsOnNumbersWithoutAnOrder) {
  Budget budget(kChatTemplateLimits);
  std::vector<Value> keys;
  for (int i = 0; i < 100; ++i)
    keys.push_back(i % 7 == 0 ? Value::Float(0.0 / 0.0) : Value::Int((i * 37) % 10));
  EXPECT_EQ(SortedOrder(budget, keys, false).value().size(), 100U);
  const std::vector<Value> few = {Value::Int(2), Value::Int(1), Value::Float(2), Value::Bool(true)};
  EXPECT_EQ(SortedOrder(budget, few, false).value(), (std::vector<size_t>{1, 3, 0, 2}));
  EXPECT_EQ(SortedOrder(budget, few, true).value(), (std::vector<size_t>{0, 2, 1, 3}));
  EXPECT_FALSE(SortedOrder(budget, {Value::Int(1), Value::String("a")}, false).ok());
}

TEST(ChatTemplateValue, ChangesCaseAsPythonDoes) {
  EXPECT_EQ(ToUpper("straße"), "STRASSE");
  EXPECT_EQ(ToLower("ΟΔΟΣ"), "οδος");
  EXPECT_EQ(Capitalize("éCOLE"), "École");
  EXPECT_EQ(ToTitle("it's a-b"), "It'S A-B");
  EXPECT_EQ(TitleWords("it's a-b"), "It's A-B");
}

TEST(ChatTemplateValue, StripsUnicodeWhiteSpace) {
  EXPECT_EQ(Strip("\u3000 a\u2028\x1f", std::nullopt, true, true), "a");
  EXPECT_EQ(Strip("éàxàé", "éà", true, false), "xàé");
}

}  // namespace
}  // namespace conclave::tokenizer
