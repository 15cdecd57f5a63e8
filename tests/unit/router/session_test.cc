#include "services/router/session.h"

#include <random>

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include "services/router/limits.h"

namespace conclave::router {
namespace {

using ::testing::HasSubstr;

void Say(Session& session, v1::Role role, const std::string& content) {
  v1::ChatMessage& message = session.messages.emplace_back();
  message.set_role(role);
  message.set_content(content);
}

std::vector<std::string> Contents(const Session& session) {
  std::vector<std::string> contents;
  for (const auto& message : session.messages) contents.push_back(message.content());
  return contents;
}

/// A conversation of `pairs` questions and answers: q0, a0, q1, a1, ...
Session Conversation(size_t pairs) {
  Session session{.created_ms = 5, .updated_ms = 9};
  for (size_t i = 0; i < pairs; ++i) {
    Say(session, v1::ROLE_USER, "q" + std::to_string(i));
    Say(session, v1::ROLE_ASSISTANT, "a" + std::to_string(i));
  }
  return session;
}

TEST(SessionKeyTest, TakesLettersDigitsAndTwoMarks) {
  EXPECT_EQ(*SessionKey("acme", "aZ09-_"), "session/acme/aZ09-_");
  EXPECT_TRUE(SessionKey("acme", std::string(kMostIdBytes, 'x')).ok());
}

TEST(SessionKeyTest, RefusesWhatCouldBeAnotherKey) {
  const std::string ids[] = {"",         std::string(kMostIdBytes + 1, 'x'),
                             "a/b",      "..",
                             "a b",      "a.b",
                             "\xC3\xA4", std::string("a\0b", 3),
                             "a\n",      "%41"};
  for (const std::string& id : ids) {
    const auto key = SessionKey("acme", id);
    EXPECT_EQ(key.status().code(), StatusCode::kInvalidArgument) << id;
    EXPECT_THAT(key.status().message(), HasSubstr("session_id"));
  }
}

TEST(SessionBytesTest, RoundTrip) {
  Session session = Conversation(2);
  Say(session, v1::ROLE_TOOL, std::string("\0 and \xE2\x82\xAC", 9));
  const auto decoded = DecodeSession(EncodeSession(session));
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(Contents(*decoded), Contents(session));
  EXPECT_EQ(decoded->messages[4].role(), v1::ROLE_TOOL);
  EXPECT_EQ(decoded->created_ms, 5);
  EXPECT_EQ(decoded->updated_ms, 9);
  EXPECT_TRUE(DecodeSession(EncodeSession({}))->messages.empty());
}

/// What stands in the store may have been written by another version, or by nobody of ours.
TEST(SessionBytesTest, HostileBytesAreDataLossOrASessionWithinItsLimits) {
  const std::string whole = EncodeSession(Conversation(6));
  const google::protobuf::LogSilencer silencer;
  std::mt19937 random(7);
  int unreadable = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = whole;
    for (uint32_t changes = random() % 4; changes > 0; --changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (random() % 2 == 0) bytes.resize(random() % (bytes.size() + 1));
    const auto decoded = DecodeSession(bytes);
    if (!decoded.ok()) {
      ++unreadable;
      ASSERT_EQ(decoded.status().code(), StatusCode::kDataLoss);
      continue;
    }
    ASSERT_LE(decoded->messages.size(), kMostSessionMessages);
    for (const auto& message : decoded->messages) {
      ASSERT_TRUE(v1::Role_IsValid(message.role()) && message.role() != v1::ROLE_UNSPECIFIED);
    }
  }
  EXPECT_GT(unreadable, 1000);
}

TEST(SessionBytesTest, EveryCutIsNoticedOrEndsBetweenMessages) {
  const std::string whole = EncodeSession(Conversation(3));
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto decoded = DecodeSession(whole.substr(0, size));
    if (!decoded.ok()) continue;
    const auto contents = Contents(*decoded);
    const auto all = Contents(Conversation(3));
    EXPECT_TRUE(std::equal(contents.begin(), contents.end(), all.begin())) << size;
  }
}

TEST(SessionBytesTest, RefusesRolesThatAreNone) {
  for (const int role : {0, -1, 77}) {
    Session session = Conversation(1);
    Say(session, static_cast<v1::Role>(role), "x");
    EXPECT_EQ(DecodeSession(EncodeSession(session)).status().code(), StatusCode::kDataLoss) << role;
  }
}

TEST(SessionBytesTest, LargerOnesAreTrimmed) {
  const auto decoded = DecodeSession(EncodeSession(Conversation(kMostSessionMessages)));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->messages.size(), kMostSessionMessages);
  EXPECT_EQ(decoded->messages.back().content(), "a1023");
}

TEST(TrimSessionTest, SmallOnesStayWhole) {
  Session session = Conversation(kMostSessionMessages / 2);
  TrimSession(session);
  EXPECT_EQ(session.messages.size(), kMostSessionMessages);
  EXPECT_EQ(session.messages.front().content(), "q0");
  Session empty;
  TrimSession(empty);
  EXPECT_TRUE(empty.messages.empty());
}

TEST(TrimSessionTest, OldestPairsGoFirst) {
  Session session = Conversation(kMostSessionMessages / 2 + 3);
  TrimSession(session);
  EXPECT_EQ(session.messages.size(), kMostSessionMessages);
  EXPECT_EQ(session.messages.front().content(), "q3");
  EXPECT_EQ(session.messages.back().content(), "a514");
}

/// Many chat templates refuse a conversation that does not begin with a question.
TEST(TrimSessionTest, NoAnswerIsLeftWithoutItsQuestion) {
  Session session = Conversation(kMostSessionMessages / 2);
  Say(session, v1::ROLE_USER, "newest");
  TrimSession(session);
  EXPECT_EQ(session.messages.size(), kMostSessionMessages - 1);
  EXPECT_EQ(session.messages.front().content(), "q1");
  EXPECT_EQ(session.messages.back().content(), "newest");
}

TEST(TrimSessionTest, SystemMessageInFrontStays) {
  Session session;
  Say(session, v1::ROLE_SYSTEM, "be brief");
  for (const auto& message : Conversation(kMostSessionMessages / 2).messages) {
    session.messages.push_back(message);
  }
  TrimSession(session);
  EXPECT_EQ(session.messages.size(), kMostSessionMessages - 1);
  EXPECT_EQ(session.messages[0].content(), "be brief");
  EXPECT_EQ(session.messages[1].content(), "q1");
}

TEST(TrimSessionTest, BytesAreBoundedToo) {
  const std::string half(kMostSessionBytes / 2, 'x');
  Session session;
  Say(session, v1::ROLE_USER, half);
  Say(session, v1::ROLE_ASSISTANT, half);
  TrimSession(session);
  EXPECT_EQ(session.messages.size(), 2u) << "exactly full";
  Say(session, v1::ROLE_USER, "q");
  Say(session, v1::ROLE_ASSISTANT, "a");
  TrimSession(session);
  EXPECT_TRUE(Contents(session) == (std::vector<std::string>{"q", "a"})) << session.messages.size();
}

TEST(TrimSessionTest, ConversationWithoutAQuestionKeepsWhatFits) {
  Session session;
  for (size_t i = 0; i <= kMostSessionMessages; ++i) Say(session, v1::ROLE_TOOL, std::to_string(i));
  TrimSession(session);
  EXPECT_EQ(session.messages.size(), kMostSessionMessages);
  EXPECT_EQ(session.messages.front().content(), "1");
}

}  // namespace
}  // namespace conclave::router
