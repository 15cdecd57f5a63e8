#include "services/router/request_plan.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/utf8.h"
#include "services/router/limits.h"

namespace conclave::router {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::ChatMessage Message(v1::Role role, const std::string& content) {
  v1::ChatMessage message;
  message.set_role(role);
  message.set_content(content);
  return message;
}

v1::ChatRequest Chat(const std::string& text) {
  v1::ChatRequest request;
  *request.add_messages() = Message(v1::ROLE_USER, text);
  return request;
}

template <typename Request>
void ExpectInvalid(const Request& request, const std::string& named) {
  const auto plan = PlanOf(request);
  EXPECT_EQ(plan.status().code(), StatusCode::kInvalidArgument) << named;
  EXPECT_THAT(plan.status().message(), HasSubstr(named));
}

/// The sampling that Chat and Complete refuse alike.
void ExpectInvalidSampling(const std::function<void(v1::SamplingParams&)>& spoil, const std::string& named) {
  v1::ChatRequest chat = Chat("Hi");
  spoil(*chat.mutable_sampling());
  ExpectInvalid(chat, named);
  v1::CompleteRequest complete;
  complete.set_prompt("Once");
  spoil(*complete.mutable_sampling());
  ExpectInvalid(complete, named);
}

TEST(RequestPlanTest, AnswersAreBoundedAndNoneOfSeveralContinuesASession) {
  v1::ChatRequest chat = Chat("Hi");
  v1::CompleteRequest complete;
  complete.set_prompt("Once");
  EXPECT_EQ(PlanOf(chat)->answers, 1u);
  EXPECT_EQ(PlanOf(complete)->answers, 1u);
  chat.set_answers(kMostAnswers);
  complete.set_answers(kMostAnswers);
  EXPECT_EQ(PlanOf(chat)->answers, kMostAnswers);
  EXPECT_EQ(PlanOf(complete)->answers, kMostAnswers);
  chat.set_session_id("s-1");
  ExpectInvalid(chat, "session_id");
  chat.set_answers(1);
  EXPECT_TRUE(PlanOf(chat).ok());
  chat.clear_session_id();
  chat.set_answers(kMostAnswers + 1);
  complete.set_answers(kMostAnswers + 1);
  ExpectInvalid(chat, "answers is 17");
  ExpectInvalid(complete, "answers is 17");
}

TEST(RequestPlanTest, ChatIsTakenWhole) {
  v1::ChatRequest request = Chat("Hi");
  *request.add_messages() = Message(v1::ROLE_ASSISTANT, "Hello.");
  *request.add_messages() = Message(v1::ROLE_TOOL, "{}");
  request.set_model("tiny");
  request.set_session_id("s-1");
  request.set_collection("docs");
  request.set_top_n(kMostTopN);
  request.mutable_sampling()->set_top_p(0.5);
  const auto plan = PlanOf(request);
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  EXPECT_TRUE(plan->is_chat);
  EXPECT_EQ(plan->model, "tiny");
  ASSERT_EQ(plan->messages.size(), 3u);
  EXPECT_EQ(plan->messages[1].content(), "Hello.");
  EXPECT_EQ(plan->session_id, "s-1");
  EXPECT_EQ(plan->collection, "docs");
  EXPECT_EQ(plan->top_n, kMostTopN);
  EXPECT_EQ(plan->sampling.top_p(), 0.5);
}

TEST(RequestPlanTest, PassagesHaveADefaultNumberAndABound) {
  EXPECT_EQ(PlanOf(Chat("Hi"))->top_n, kDefaultTopN);
  v1::ChatRequest request = Chat("Hi");
  request.set_top_n(kMostTopN + 1);
  ExpectInvalid(request, "top_n is 21");
}

TEST(RequestPlanTest, ModelNameIsBounded) {
  v1::ChatRequest chat = Chat("Hi");
  chat.set_model(std::string(kMostModelNameBytes, 'm'));
  EXPECT_TRUE(PlanOf(chat).ok());
  chat.set_model(std::string(kMostModelNameBytes + 1, 'm'));
  ExpectInvalid(chat, "model has 1025 bytes");
  v1::CompleteRequest complete;
  complete.set_prompt("Once");
  complete.set_model(chat.model());
  ExpectInvalid(complete, "model has 1025 bytes");
}

TEST(RequestPlanTest, MessagesAreBoundedInNumber) {
  ExpectInvalid(v1::ChatRequest(), "messages is empty");
  v1::ChatRequest request;
  for (size_t i = 0; i < kMostMessages; ++i) *request.add_messages() = Message(v1::ROLE_USER, "x");
  EXPECT_TRUE(PlanOf(request).ok());
  *request.add_messages() = Message(v1::ROLE_USER, "x");
  ExpectInvalid(request, "messages has 1025 entries");
}

TEST(RequestPlanTest, MessagesAreBoundedInBytes) {
  const std::string largest(kMostMessageBytes, 'x');
  v1::ChatRequest request = Chat(largest);
  EXPECT_TRUE(PlanOf(request).ok());
  request.mutable_messages(0)->mutable_content()->push_back('x');
  ExpectInvalid(request, "messages[0].content has 1048577 bytes");
  v1::ChatRequest many;
  for (size_t i = 0; i < kMostChatBytes / kMostMessageBytes; ++i) {
    *many.add_messages() = Message(v1::ROLE_USER, largest);
  }
  EXPECT_TRUE(PlanOf(many).ok());
  *many.add_messages() = Message(v1::ROLE_USER, "x");
  ExpectInvalid(many, "16777217 bytes in all");
}

TEST(RequestPlanTest, EveryMessageHasAKnownRole) {
  for (const int role : {0, -1, 5, 77}) {
    v1::ChatRequest request = Chat("Hi");
    *request.add_messages() = Message(static_cast<v1::Role>(role), "x");
    ExpectInvalid(request, "messages[1].role");
  }
}

TEST(RequestPlanTest, NewestQuestionSaysSomething) {
  ExpectInvalid(Chat(""), "newest message is empty");
  v1::ChatRequest earlier = Chat("");
  *earlier.add_messages() = Message(v1::ROLE_USER, "Hi");
  EXPECT_TRUE(PlanOf(earlier).ok());
  v1::ChatRequest tool = Chat("Run it");
  *tool.add_messages() = Message(v1::ROLE_TOOL, "");
  EXPECT_TRUE(PlanOf(tool).ok()) << "a tool may have nothing to say";
}

TEST(RequestPlanTest, StopTextsAreBounded) {
  ExpectInvalidSampling([](auto& sampling) { sampling.add_stop(""); }, "a stop text has 0 bytes");
  ExpectInvalidSampling([](auto& sampling) { sampling.add_stop(std::string(kMostStopBytes + 1, 's')); },
                        "a stop text has 257 bytes");
  ExpectInvalidSampling(
      [](auto& sampling) {
        for (size_t i = 0; i <= kMostStopTexts; ++i) sampling.add_stop("s");
      },
      "stop has 17 texts");
  v1::ChatRequest request = Chat("Hi");
  for (size_t i = 0; i < kMostStopTexts; ++i) {
    request.mutable_sampling()->add_stop(std::string(kMostStopBytes, 's'));
  }
  EXPECT_TRUE(PlanOf(request).ok());
}

TEST(RequestPlanTest, AnswerHasAtLeastOneToken) {
  ExpectInvalidSampling([](auto& sampling) { sampling.set_max_tokens(0); }, "max_tokens is 0");
}

TEST(RequestPlanTest, CompletionIsTakenWhole) {
  v1::CompleteRequest request;
  request.set_model("tiny");
  request.set_prompt("Once");
  request.set_parse_special(true);
  request.mutable_sampling()->set_seed(7);
  const auto plan = PlanOf(request);
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  EXPECT_FALSE(plan->is_chat);
  EXPECT_EQ(plan->model, "tiny");
  EXPECT_EQ(plan->prompt, "Once");
  EXPECT_TRUE(plan->parse_special);
  EXPECT_EQ(plan->sampling.seed(), 7u);
  v1::CompleteRequest tokens;
  tokens.add_prompt_token_ids(4);
  tokens.add_prompt_token_ids(5);
  EXPECT_THAT(PlanOf(tokens)->prompt_token_ids, ElementsAre(4, 5));
}

TEST(RequestPlanTest, CompletionHasOnePromptOfEitherKind) {
  ExpectInvalid(v1::CompleteRequest(), "the prompt is empty");
  v1::CompleteRequest both;
  both.set_prompt("Once");
  both.add_prompt_token_ids(4);
  ExpectInvalid(both, "prompt and prompt_token_ids are both set");
}

TEST(RequestPlanTest, CompletionPromptsAreBounded) {
  v1::CompleteRequest text;
  text.set_prompt(std::string(kMostPromptBytes, 'x'));
  EXPECT_TRUE(PlanOf(text).ok());
  text.mutable_prompt()->push_back('x');
  ExpectInvalid(text, "prompt has 16777217 bytes");
  v1::CompleteRequest tokens;
  tokens.mutable_prompt_token_ids()->Resize(static_cast<int>(kMostPromptTokens), 1);
  EXPECT_TRUE(PlanOf(tokens).ok());
  tokens.add_prompt_token_ids(1);
  ExpectInvalid(tokens, "prompt_token_ids has 4194305 entries");
}

TEST(SearchQueryTest, IsTheNewestQuestion) {
  EXPECT_EQ(SearchQuery({Message(v1::ROLE_USER, "first"), Message(v1::ROLE_ASSISTANT, "answer"),
                         Message(v1::ROLE_USER, "second"), Message(v1::ROLE_TOOL, "result")}),
            "second");
  EXPECT_EQ(SearchQuery({Message(v1::ROLE_SYSTEM, "be brief")}), "");
  EXPECT_EQ(SearchQuery({}), "");
}

TEST(SearchQueryTest, LongQuestionIsCutBetweenCharacters) {
  for (int shift = 0; shift < 4; ++shift) {
    std::string text(shift, 'x');
    while (text.size() < 20'000) text += "\xF0\x9F\x98\x80";
    const std::string query = SearchQuery({Message(v1::ROLE_USER, text)});
    EXPECT_TRUE(IsValidUtf8(query)) << shift;
    EXPECT_LE(query.size(), 16384u);
    EXPECT_GT(query.size(), 16384u - 4);
    EXPECT_EQ(text.compare(0, query.size(), query), 0);
  }
}

TEST(RequestPlanTest, BeamSearchesThatMakeNoSenseAreRefused) {
  v1::ChatRequest chat;
  *chat.add_messages() = Message(v1::ROLE_USER, "Hi");
  v1::CompleteRequest complete;
  complete.set_prompt("Hi");
  chat.mutable_sampling()->mutable_beam_search()->set_beams(4);
  chat.set_answers(4);
  ASSERT_TRUE(PlanOf(chat).ok());
  EXPECT_EQ(PlanOf(chat)->width(), 4u);
  chat.set_answers(5);
  ExpectInvalid(chat, "answers is 5");
  complete.mutable_sampling()->mutable_beam_search()->set_beams(4);
  EXPECT_EQ(PlanOf(complete)->answers, 1u);
  EXPECT_EQ(PlanOf(complete)->width(), 4u);
  complete.mutable_sampling()->add_stop("x");
  ExpectInvalid(complete, "stop");
  complete.mutable_sampling()->clear_stop();
  complete.mutable_sampling()->set_temperature(0.0);
  ExpectInvalid(complete, "temperature");
  complete.mutable_sampling()->clear_temperature();
  for (const uint32_t beams : {0u, 17u, UINT32_MAX}) {
    complete.mutable_sampling()->mutable_beam_search()->set_beams(beams);
    ExpectInvalid(complete, "beam_search.beams is " + std::to_string(beams));
  }
}

v1::SearchResponse Found(int count) {
  v1::SearchResponse found;
  for (int i = 1; i <= count; ++i) {
    v1::SearchResult& result = *found.add_results();
    result.set_source("file-" + std::to_string(i));
    result.set_text("text-" + std::to_string(i));
  }
  return found;
}

TEST(WithPassagesTest, NothingFoundChangesNothing) {
  const auto messages = WithPassages({Message(v1::ROLE_USER, "Hi")}, Found(0));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].content(), "Hi");
}

TEST(WithPassagesTest, PassagesAreNumberedInASystemMessageOfTheirOwn) {
  const auto messages = WithPassages({Message(v1::ROLE_USER, "Hi")}, Found(2));
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].role(), v1::ROLE_SYSTEM);
  EXPECT_THAT(messages[0].content(), HasSubstr("\n[1] file-1\ntext-1\n\n[2] file-2\ntext-2\n"));
  EXPECT_EQ(messages[1].content(), "Hi");
}

TEST(WithPassagesTest, PassagesFollowWhatTheSystemMessageSays) {
  const auto messages =
      WithPassages({Message(v1::ROLE_SYSTEM, "Be brief."), Message(v1::ROLE_USER, "Hi")}, Found(1));
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].content().substr(0, 11), "Be brief.\n\n");
  EXPECT_THAT(messages[0].content(), HasSubstr("[1] file-1"));
}

}  // namespace
}  // namespace conclave::router
