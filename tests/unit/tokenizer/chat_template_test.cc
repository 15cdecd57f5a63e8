#include "services/tokenizer/chat_template/chat_template.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::tokenizer {
namespace {

using testing::HasSubstr;

TemplateInput Conversation() {
  TemplateInput input;
  input.messages = Value::List({ChatMessageValue("system", "Be kind."), ChatMessageValue("user", " Grüße ")});
  input.add_generation_prompt = true;
  input.bos_token = "<s>";
  return input;
}

Result<std::string> Render(std::string_view source, const TemplateInput& input = Conversation()) {
  CONCLAVE_ASSIGN_OR_RETURN(const auto compiled, ChatTemplate::Compile(source));
  return compiled->Render(input);
}

std::string Text(std::string_view source) {
  const auto text = Render(source);
  return text.ok() ? *text : text.status().ToString();
}

TEST(ChatTemplate, RendersAConversation) {
  EXPECT_EQ(Text("{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message.content | "
                 "trim }}\n"
                 "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"),
            "<s><|system|>Be kind.\n<|user|>Grüße\n<|assistant|>");
}

TEST(ChatTemplate, TakesAwayWhiteSpaceAsTrimBlocksAndLstripBlocksDo) {
  EXPECT_EQ(Text("a\n  {% if true %}\nb\n  {% endif %}\nc\n"), "a\nb\nc");
  EXPECT_EQ(Text("a\n  {%- if true -%}\n b {%- endif %} \nc\n\n"), "ab \nc\n");
  EXPECT_EQ(Text("a\n  {%+ if true %}b{% endif +%}\nc"), "a\n  b\nc");
  EXPECT_EQ(Text("x {# gone #}\n y {{- 1 -}} \n z"), "x  y1z");
}

TEST(ChatTemplate, KeepsLoopVariablesApartAndNamespacesTogether) {
  EXPECT_EQ(Text("{% set x = 1 %}{% for i in [5, 6] %}{% set x = i %}{{ x }}{% endfor %}{{ x }}"), "561");
  EXPECT_EQ(Text("{% set ns = namespace(n=0) %}{% for i in [5, 6] %}{% set ns.n = ns.n + i %}{% endfor %}{{ "
                 "ns.n }}"),
            "11");
  EXPECT_EQ(Text("{% for i in [1] %}{{ bos_token }}{% endfor %}{% set bos_token = 3 %}{{ bos_token }}"), "3")
      << "a name that a block sets is the block's own from its start";
}

TEST(ChatTemplate, LooksAheadInALoop) {
  EXPECT_EQ(Text("{% for m in messages %}{{ loop.index }}/{{ loop.length }}{{ '.' if loop.last else ',' }}{% "
                 "endfor %}"),
            "1/2,2/2.");
  EXPECT_EQ(
      Text("{% for i in [1, 2, 3, 4] if i is even %}{{ loop.first }}{{ i }}{{ loop.nextitem }} {% endfor %}"),
      "True24 False4 ");
}

TEST(ChatTemplate, CallsMacrosWithDefaultsKeywordsAndCallBlocks) {
  EXPECT_EQ(Text("{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}"), "1112");
  EXPECT_EQ(Text("{% macro m() %}<{{ caller(3) }}>{% endmacro %}{% call(x) m() %}{{ x }}{% endcall %}"),
            "<3>");
  EXPECT_EQ(Text("{% generation %}answer{% endgeneration %}"), "answer");
}

TEST(ChatTemplate, ShowsTheTimeItIsGiven) {
  TemplateInput input = Conversation();
  input.now.tm_year = 125;
  input.now.tm_mon = 2;
  input.now.tm_mday = 7;
  const auto text = Render("{{ strftime_now('%d %B %Y') }}", input);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  EXPECT_EQ(*text, "07 March 2025");
}

TEST(ChatTemplate, LetsTheTemplateRefuseAConversationInItsOwnWords) {
  const auto refused = Render("\n\n{{ raise_exception('Roles must alternate') }}");
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.status().message(), "Roles must alternate");
}

TEST(ChatTemplate, NamesTheConstructAndTheLineThatItDoesNotKnow) {
  for (const auto& [source, message] :
       {std::pair("a\n{{ 1|bogus }}", "line 2: the filter 'bogus' is not supported"),
        std::pair("{{ 1 is bogus }}", "line 1: the test 'bogus' is not supported"),
        std::pair("\n\n{% extends 'x' %}", "line 3: the tag 'extends' is not supported"),
        std::pair("{% for a in b recursive %}{% endfor %}", "a recursive for loop"),
        std::pair("\n{{ 'a'.encode() }}", "line 2: the attribute 'encode' of str")}) {
    const auto refused = Render(source);
    EXPECT_EQ(refused.status().code(), StatusCode::kUnimplemented) << source;
    EXPECT_THAT(refused.status().message(), HasSubstr(message));
  }
  EXPECT_EQ(Text("{% if false %}{{ 1|bogus }}{% endif %}ok"), "ok")
      << "what an if does not reach is not refused";
}

TEST(ChatTemplate, ForbidsChangingLists) {
  const auto refused = Render("{% set x = messages.append(1) %}");
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.status().message(), HasSubstr("'append' of 'list' object is unsafe"));
}

TEST(ChatTemplate, TreatsUndefinedAsJinjaDoes) {
  EXPECT_EQ(
      Text("[{{ nothing }}]{{ nothing is defined }}{{ nothing | default('d') }}{{ messages[0].nothing }}"),
      "[]Falsed");
  EXPECT_THAT(Text("{{ nothing.more }}"), HasSubstr("'nothing' is undefined"));
  EXPECT_THAT(Text("{{ nothing + 1 }}"), HasSubstr("'nothing' is undefined"));
}

TEST(ChatTemplate, RefusesTextThatIsNotUtf8) {
  EXPECT_EQ(ChatTemplate::Compile("a\xFF").status().code(), StatusCode::kInvalidArgument);
  TemplateInput input;
  input.messages = Value::List({ChatMessageValue("user", "\xC3(")});
  EXPECT_EQ(Render("{{ messages[0].content }}", input).status().code(), StatusCode::kInvalidArgument);
}

TEST(ChatTemplate, RendersOnManyThreadsAtOnce) {
  const auto compiled = ChatTemplate::Compile(
      "{% set ns = namespace(t='') %}{% for i in range(50) %}{% set ns.t = ns.t ~ messages[1].content | trim "
      "| upper "
      "%}{% endfor %}{{ ns.t | length }}");
  ASSERT_TRUE(compiled.ok()) << compiled.status().ToString();
  const TemplateInput input = Conversation();
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (std::string& text : texts) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) text = (*compiled)->Render(input).value();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(texts, testing::Each("300")) << "GRÜSSE, fifty times";
}

}  // namespace
}  // namespace conclave::tokenizer
