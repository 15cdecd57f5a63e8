#include "services/feedback/rating_actor.h"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>
#include <gtest/gtest.h>

#include "services/feedback/change_queue.h"
#include "services/feedback/limits.h"
#include "tests/unit/feedback/feedback_fixture.h"

namespace conclave::feedback {
namespace {

/// CAF's deterministic scheduler: nothing runs until the test says so.
struct SteppedConfig : caf::actor_system_config {
  SteppedConfig() {
    set("scheduler.policy", caf::atom("testing"));
    set("logger.verbosity", caf::atom("quiet"));
  }
};

/// A RatingActor whose writer is the test: groups are collected, and written when the test says so.
class RatingActorTest : public ::testing::Test {
 protected:
  RatingActorTest() {
    writer_ = system_.spawn([this](caf::event_based_actor*) -> caf::behavior {
      return {[this](const GroupPtr& group) { groups_.push_back(group); }};
    });
    rating_ = system_.spawn(RatingActor, writer_);
    Step();
  }

  ~RatingActorTest() override {
    caf::anon_send_exit(rating_, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(writer_, caf::exit_reason::user_shutdown);
    Step();
  }

  void Step() { dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler()).run(); }

  PendingChangePtr Pending(const std::string& id, std::function<bool()> abandoned = nullptr,
                           size_t bytes = 1) {
    RecordChange change{ChatAnswer(id, "Hello?", std::string(bytes, 'x')), 0};
    return std::make_shared<PendingChange>(
        std::move(change),
        [this, id](Result<Committed> result) { answers_.emplace_back(id, result.status()); },
        std::move(abandoned));
  }

  void Send(const PendingChangePtr& change) {
    caf::anon_send(rating_, change);
    Step();
  }

  /// Says that the newest group is on disk.
  void FinishWrite(const Status& status = Status::Ok()) {
    const GroupPtr group = groups_.back();
    for (size_t i = 0; i < group->changes.size(); ++i) {
      group->results.push_back(status.ok() ? Result<Committed>(Committed{}) : Result<Committed>(status));
    }
    caf::anon_send(rating_, group);
    Step();
  }

  static std::string IdOf(const PendingChangePtr& pending) {
    return std::get<RecordChange>(pending->change()).record.response_id();
  }

  SteppedConfig config_;
  caf::actor_system system_{config_};
  caf::actor writer_;
  caf::actor rating_;
  std::vector<GroupPtr> groups_;
  std::vector<std::pair<std::string, Status>> answers_;
};

TEST_F(RatingActorTest, FirstChangeIsWrittenAtOnceAndAnsweredAfterIt) {
  Send(Pending("a"));
  ASSERT_EQ(groups_.size(), 1u);
  EXPECT_TRUE(answers_.empty());
  FinishWrite();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_TRUE(answers_[0].second.ok());
  EXPECT_EQ(groups_.size(), 1u) << "nothing waits, nothing is written";
}

TEST_F(RatingActorTest, WhatArrivesDuringAWriteSharesTheNextOne) {
  for (const char* id : {"a", "b", "c", "d"}) Send(Pending(id));
  ASSERT_EQ(groups_.size(), 1u);
  EXPECT_EQ(groups_[0]->changes.size(), 1u);
  FinishWrite();
  ASSERT_EQ(groups_.size(), 2u);
  ASSERT_EQ(groups_[1]->changes.size(), 3u);
  EXPECT_EQ(IdOf(groups_[1]->changes[0]), "b");
  EXPECT_EQ(IdOf(groups_[1]->changes[2]), "d");
  EXPECT_EQ(answers_.size(), 1u) << "the second write is not done";
  FinishWrite();
  EXPECT_EQ(answers_.size(), 4u);
}

TEST_F(RatingActorTest, FailedWriteFailsItsGroupOnly) {
  Send(Pending("a"));
  Send(Pending("b"));
  FinishWrite(ResourceExhausted("the disk is full"));
  FinishWrite();
  ASSERT_EQ(answers_.size(), 2u);
  EXPECT_EQ(answers_[0].second.code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(answers_[1].second.ok());
}

TEST_F(RatingActorTest, GroupsAreBoundedByCount) {
  Send(Pending("first"));
  for (size_t i = 0; i < kMaxGroupChanges + 1; ++i) caf::anon_send(rating_, Pending("r" + std::to_string(i)));
  Step();
  FinishWrite();
  EXPECT_EQ(groups_.back()->changes.size(), kMaxGroupChanges);
  FinishWrite();
  EXPECT_EQ(groups_.back()->changes.size(), 1u);
  FinishWrite();
}

TEST_F(RatingActorTest, GroupsAreBoundedByBytes) {
  Send(Pending("first"));
  for (const char* id : {"a", "b", "c"}) Send(Pending(id, nullptr, kMaxGroupBytes / 2));
  for (size_t expected : {1, 1, 1}) {
    FinishWrite();
    EXPECT_EQ(groups_.back()->changes.size(), expected);
  }
  FinishWrite();
  EXPECT_EQ(answers_.size(), 4u);
}

TEST_F(RatingActorTest, AbandonedChangesAreNotWritten) {
  Send(Pending("a"));
  Send(Pending("gone", [] { return true; }));
  Send(Pending("b", [] { return false; }));
  FinishWrite();
  ASSERT_EQ(groups_.size(), 2u);
  ASSERT_EQ(groups_[1]->changes.size(), 1u);
  EXPECT_EQ(IdOf(groups_[1]->changes[0]), "b");
  ASSERT_EQ(answers_.size(), 2u);
  EXPECT_EQ(answers_[1].first, "a");
  EXPECT_EQ(answers_[0].second.code(), StatusCode::kCancelled);
  FinishWrite();
}

TEST_F(RatingActorTest, StoppingAnswersWhatWaits) {
  Send(Pending("a"));
  Send(Pending("b"));
  caf::anon_send_exit(rating_, caf::exit_reason::user_shutdown);
  Step();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].first, "b");
  EXPECT_EQ(answers_[0].second.code(), StatusCode::kUnavailable);
  groups_.clear();
  ASSERT_EQ(answers_.size(), 2u) << "the group that was never written";
  EXPECT_EQ(answers_[1].second.code(), StatusCode::kUnavailable);
}

TEST_F(RatingActorTest, QueueIsBoundedByCount) {
  platform::Metrics metrics;
  ChangeQueue queue(rating_, metrics);
  size_t stored = 0;
  std::vector<Status> refused;
  const auto submit = [&] {
    queue.Submit(RecordChange{ChatAnswer("a"), 0}, [&](const Result<Committed>& result) {
      result.ok() ? void(++stored) : refused.push_back(result.status());
    });
  };
  for (size_t i = 0; i < kMaxPendingChanges; ++i) submit();
  EXPECT_TRUE(refused.empty());
  EXPECT_FALSE(queue.idle());
  submit();
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(refused[0].retry_after_ms(), kRetryAfterMs);
  Step();
  while (stored < kMaxPendingChanges) FinishWrite();
  EXPECT_TRUE(queue.idle());
  submit();
  EXPECT_EQ(refused.size(), 1u) << "there is room again";
  Step();
  FinishWrite();
}

TEST_F(RatingActorTest, QueueIsBoundedByBytes) {
  platform::Metrics metrics;
  ChangeQueue queue(rating_, metrics);
  size_t stored = 0;
  size_t refused = 0;
  const auto submit = [&] {
    queue.Submit(RecordChange{ChatAnswer("a", "Hello?", std::string(kMaxPendingBytes / 4, 'x')), 0},
                 [&](const Result<Committed>& result) { ++(result.ok() ? stored : refused); });
  };
  for (int i = 0; i < 4; ++i) submit();
  EXPECT_EQ(refused, 1u);
  Step();
  while (stored < 3) FinishWrite();
  submit();
  EXPECT_EQ(refused, 1u);
  Step();
  FinishWrite();
}

}  // namespace
}  // namespace conclave::feedback
