#include "services/router/session_actor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "platform/state/open_state_store.h"
#include "tests/support/stepped_actors.h"
#include "tests/support/temporary_folder.h"

namespace conclave::router {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kTtlMs = 60'000;

/// The actor over a RocksDB store whose clock is the test's.
class SessionActorTest : public ::testing::Test {
 protected:
  SessionActorTest() {
    auto store = platform::OpenRocksDbStateStore(folder_.path() + "/state", [this] { return now_ms_; });
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    store_ = *std::move(store);
    actor_ = actors_.system().spawn<SessionActor>(*store_, kTtlMs);
    actors_.Run();
  }

  ~SessionActorTest() override {
    caf::anon_send_exit(actor_, caf::exit_reason::user_shutdown);
    actors_.Run();
  }

  Result<Session> Load(const std::string& id, const std::string& tenant = "acme") {
    Result<Session> loaded = Internal("the actor did not answer");
    caf::anon_send(actor_, LoadSessionMessage{tenant, id,
                                              [&](Result<Session> session) { loaded = std::move(session); }});
    actors_.Run();
    return loaded;
  }

  Status Append(const std::string& id, const std::string& text, const std::string& tenant = "acme") {
    std::vector<v1::ChatMessage> turn(1);
    turn.back().set_role(v1::ROLE_USER);
    turn.back().set_content(text);
    Status saved = Internal("the actor did not answer");
    caf::anon_send(actor_, AppendToSessionMessage{tenant, id, turn, [&](Status status) { saved = status; }});
    actors_.Run();
    return saved;
  }

  Status Delete(const std::string& id, const std::string& tenant = "acme") {
    Status deleted = Internal("the actor did not answer");
    caf::anon_send(actor_, DeleteSessionMessage{tenant, id, [&](Status status) { deleted = status; }});
    actors_.Run();
    return deleted;
  }

  void ExpectHolds(const std::string& id, const std::vector<std::string>& texts,
                   const std::string& tenant = "acme") {
    const auto session = Load(id, tenant);
    ASSERT_TRUE(session.ok()) << session.status().ToString();
    ASSERT_EQ(session->messages.size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(session->messages[i].content(), texts[i]);
  }

  conclave::testing::TemporaryFolder folder_;
  int64_t now_ms_ = 1'700'000'000'000;
  std::unique_ptr<platform::StateStore> store_;
  conclave::testing::SteppedActors actors_;
  caf::actor actor_;
};

TEST_F(SessionActorTest, TurnsAreAddedToWhatIsStored) {
  ASSERT_TRUE(Append("s", "one").ok());
  ExpectHolds("s", {"one"});
  const int64_t created_ms = Load("s")->created_ms;
  EXPECT_GT(created_ms, 0);
  ASSERT_TRUE(Append("s", "two").ok());
  ExpectHolds("s", {"one", "two"});
  EXPECT_EQ(Load("s")->created_ms, created_ms);
  EXPECT_GE(Load("s")->updated_ms, created_ms);
}

TEST_F(SessionActorTest, UnknownOneIsNotFound) {
  const auto session = Load("s-1");
  EXPECT_EQ(session.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(session.status().message(), HasSubstr("'s-1'"));
  EXPECT_EQ(Delete("s-1").code(), StatusCode::kNotFound);
}

TEST_F(SessionActorTest, DeletedOneIsGoneOnce) {
  ASSERT_TRUE(Append("s", "one").ok());
  EXPECT_TRUE(Delete("s").ok());
  EXPECT_EQ(Load("s").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Delete("s").code(), StatusCode::kNotFound);
}

TEST_F(SessionActorTest, TenantsDoNotSeeEachOthers) {
  ASSERT_TRUE(Append("s", "ours").ok());
  EXPECT_EQ(Load("s", "other").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Delete("s", "other").code(), StatusCode::kNotFound);
  ASSERT_TRUE(Append("s", "theirs", "other").ok());
  ExpectHolds("s", {"ours"});
  ExpectHolds("s", {"theirs"}, "other");
}

TEST_F(SessionActorTest, LivesForItsTtlAfterItsLastUse) {
  ASSERT_TRUE(Append("s", "one").ok());
  now_ms_ += kTtlMs - 1;
  ExpectHolds("s", {"one"});
  ASSERT_TRUE(Append("s", "two").ok());
  now_ms_ += kTtlMs - 1;
  ExpectHolds("s", {"one", "two"});
  now_ms_ += 1;
  EXPECT_EQ(Load("s").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Delete("s").code(), StatusCode::kNotFound);
}

TEST_F(SessionActorTest, NamesThatAreNoneAreRefused) {
  for (const std::string id : {"", "a/b", "../other/s"}) {
    EXPECT_EQ(Load(id).status().code(), StatusCode::kInvalidArgument) << id;
    EXPECT_EQ(Append(id, "x").code(), StatusCode::kInvalidArgument) << id;
    EXPECT_EQ(Delete(id).code(), StatusCode::kInvalidArgument) << id;
  }
}

TEST_F(SessionActorTest, UnreadableSessionIsReportedAndCanBeDeleted) {
  for (const std::string& bytes : {std::string("\xFF\xFF\xFF"), std::string(1000, '\x0A')}) {
    ASSERT_TRUE(store_->Put("session/acme/s", bytes, 0).ok());
    EXPECT_EQ(Load("s").status().code(), StatusCode::kDataLoss);
    EXPECT_EQ(Append("s", "x").code(), StatusCode::kDataLoss);
    EXPECT_TRUE(Delete("s").ok());
    EXPECT_EQ(Load("s").status().code(), StatusCode::kNotFound);
  }
}

}  // namespace
}  // namespace conclave::router
