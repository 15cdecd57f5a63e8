#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/tokenizer/chat_template/chat_template.h"
#include "services/tokenizer/chat_template/limits.h"

namespace conclave::tokenizer {
namespace {

using testing::HasSubstr;

std::string Repeat(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

Status Outcome(std::string_view source, const ChatTemplateLimits& limits = kChatTemplateLimits) {
  CONCLAVE_ASSIGN_OR_RETURN(const auto compiled, ChatTemplate::Compile(source, limits));
  return compiled->Render({}).status();
}

void ExpectExhausted(const std::string& source, std::string_view limit) {
  const Status status = Outcome(source);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted)
      << source.substr(0, 80) << ": " << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr(std::string(limit)));
}

TEST(ChatTemplateLimits, EndHostileNestingOfTheSource) {
  constexpr int kLevels = 100'000;
  ExpectExhausted("{{ " + Repeat("(", kLevels) + "1" + Repeat(")", kLevels) + " }}", "syntax_depth");
  ExpectExhausted("{{ " + Repeat("[", kLevels), "syntax_depth");
  ExpectExhausted("{{ " + Repeat("{1:", kLevels) + " }}", "syntax_depth");
  ExpectExhausted("{{ " + Repeat("not ", kLevels) + "1 }}", "syntax_depth");
  ExpectExhausted("{{ " + Repeat("-", kLevels) + "1 }}", "syntax_depth");
  ExpectExhausted("{{ 1" + Repeat("+1", kLevels) + " }}", "syntax_depth");
  ExpectExhausted("{{ a" + Repeat(".a", kLevels) + " }}", "syntax_depth");
  ExpectExhausted("{{ a" + Repeat("()", kLevels) + " }}", "syntax_depth");
  ExpectExhausted("{{ a" + Repeat("|e", kLevels) + " }}", "syntax_depth");
  ExpectExhausted("{{ " + Repeat("1 if 1 else ", kLevels / 2) + "1 }}", "syntax_depth");
  ExpectExhausted(Repeat("{% if 1 %}", kLevels), "syntax_depth");
  ExpectExhausted("{% set " + Repeat("(", kLevels), "syntax_depth");
  ExpectExhausted("{{ a is a " + Repeat("(", kLevels), "syntax_depth");
}

TEST(ChatTemplateLimits, AllowAsMuchNestingAsPythonDoes) {
  EXPECT_TRUE(Outcome("{{ " + Repeat("(", 90) + "1" + Repeat(")", 90) + " }}").ok());
  EXPECT_TRUE(Outcome("{{ 1" + Repeat("+1", 150) + " }}").ok());
  EXPECT_TRUE(Outcome(Repeat("{% if 1 %}", 50) + Repeat("{% endif %}", 50)).ok());
  EXPECT_TRUE(Outcome("{% if 0 %}" + Repeat("{% elif 0 %}", 2000) + "{% endif %}").ok())
      << "a chain is not deep";
}

TEST(ChatTemplateLimits, EndLoopsAndRecursion) {
  ExpectExhausted("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
                  "steps");
  ExpectExhausted("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "evaluation_depth");
  ExpectExhausted("{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
                  "evaluation_depth");
  ExpectExhausted("{{ range(100001) }}", "range_items");
  ExpectExhausted("{% set x = range(100000)|list %}{% for a in x %}{{ a in x }}{% endfor %}", "steps");
}

TEST(ChatTemplateLimits, EndTextThatExplodes) {
  ExpectExhausted("{{ 'a' * 1000000000 }}", "value_bytes");
  ExpectExhausted("{{ [1] * 1000000000 }}", "value_bytes");
  ExpectExhausted("{{ ('a' * 1000000)|replace('a', 'b' * 1000000) }}", "value_bytes");
  ExpectExhausted("{{ (range(100000)|list)|join('b' * 100000) }}", "value_bytes");
  ExpectExhausted("{{ 'a'.center(9000000000000000000) }}", "value_bytes");
  ExpectExhausted("{{ '%9999999999d' % 1 }}", "value_bytes");
  ExpectExhausted("{{ '{:9999999999}'.format(1) }}", "value_bytes");
  ExpectExhausted("{{ ('a\\n' * 1000000)|indent(1000000) }}", "value_bytes");
  ExpectExhausted("{{ [1]|tojson(indent=10000000000) }}", "value_bytes");
  ExpectExhausted("{{ [1]|batch(4000000000, 0)|list }}", "value_bytes");
  ExpectExhausted(
      "{% set ns = namespace(t='a') %}{% for i in range(99) %}{% set ns.t = ns.t + ns.t %}{% endfor %}",
      "value_bytes");
  ExpectExhausted("{% set t = 'a' * 1000000 %}{% for i in range(99) %}{{ t }}{% endfor %}", "output_bytes");
  ExpectExhausted(
      "{% set t = 'a' * 1000000 %}{% set x %}{% for i in range(999) %}{{ t }}{% endfor %}{% endset %}",
      "output_bytes");
}

TEST(ChatTemplateLimits, EndValuesThatHoldOneAnotherTooDeep) {
  const std::string grow = "{% set ns = namespace(v=1) %}{% for i in range(1000) %}{% set ns.v = ";
  ExpectExhausted(grow + "[ns.v] %}{% endfor %}", "value_depth");
  ExpectExhausted(grow + "{'a': ns.v} %}{% endfor %}", "value_depth");
  ExpectExhausted(grow + "[ns.v]|map('string') %}{% endfor %}", "value_depth");
  ExpectExhausted(grow + "{'a': ns.v}.items() %}{% endfor %}", "value_depth");
  ExpectExhausted("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}", "value_depth");
}

TEST(ChatTemplateLimits, EndComparisonsOfValuesThatShareTheirParts) {
  ExpectExhausted(
      "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set "
      "ns.b = [ns.b, "
      "ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
      "steps");
  ExpectExhausted(
      "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ "
      "ns.a }}",
      "of");
}

TEST(ChatTemplateLimits, EndSearchesThatWouldTakeQuadraticTime) {
  const std::string text = "{% set t = 'a' * 3000000 %}{% set w = 'a' * 1000000 ~ 'b' %}";
  EXPECT_TRUE(Outcome(text + "{{ w in t }}{{ t.find(w) }}{{ t.count(w) }}").ok())
      << "a linear search is cheap";
  ExpectExhausted(text + "{{ t.rfind('a' ~ 'b' ~ w) }}{{ t.rfind(w) }}", "steps");
}

TEST(ChatTemplateLimits, EndSourcesThatAreTooLargeOrHaveTooManyVariables) {
  ExpectExhausted(std::string(kChatTemplateLimits.source_bytes + 1, 'a'), "source_bytes");
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "{% if 1 %}{% set v" + std::to_string(i) + " = 1 %}{% endif %}";
  ExpectExhausted(many, "variables");
}

TEST(ChatTemplateLimits, FreeWhatHoldsItself) {
  EXPECT_TRUE(
      Outcome(
          "{% set ns = namespace() %}{% set ns.me = [ns] %}{% macro m() %}{{ ns }}{% endmacro %}{% set ns.m "
          "= m %}{% for i in [1] if i %}{% set ns.l = loop %}{{ loop.changed(loop) }}{% endfor %}")
          .ok())
      << "the leak checker of the sanitizers sees the rest";
}

TEST(ChatTemplateLimits, AreOnesToChoose) {
  ChatTemplateLimits limits;
  limits.steps = 10;
  EXPECT_EQ(Outcome("{{ 1 }}{{ 2 }}", limits).code(), StatusCode::kOk);
  EXPECT_THAT(Outcome("{% for i in range(20) %}{% endfor %}", limits).message(), HasSubstr("steps of 10"));
}

TEST(ChatTemplateLimits, RefuseWholeNumbersBeyond64Bits) {
  EXPECT_EQ(Outcome("{{ 9223372036854775807 + 1 }}").code(), StatusCode::kUnimplemented);
  EXPECT_EQ(Outcome("{{ 9223372036854775808 }}").code(), StatusCode::kUnimplemented);
  EXPECT_EQ(Outcome("{{ 10 ** 19 }}").code(), StatusCode::kUnimplemented);
  EXPECT_TRUE(Outcome("{{ (-9223372036854775807 - 1) // 1 }}{{ 2 ** 62 }}").ok());
}

}  // namespace
}  // namespace conclave::tokenizer
