#include "services/router/admission_actor.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/router/metrics.h"
#include "tests/support/stepped_actors.h"

namespace conclave::router {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Requests that ask for their turn, message by message.
class AdmissionActorTest : public ::testing::Test {
 protected:
  ~AdmissionActorTest() override {
    caf::anon_send_exit(actor_, caf::exit_reason::user_shutdown);
    actors_.Run();
  }

  void Start(const FairQueueLimits& limits) {
    actor_ = actors_.system().spawn<AdmissionActor>(limits, metrics_);
    actors_.Run();
  }

  void Acquire(uint64_t id, const std::string& tenant = "a", int64_t tokens = 10) {
    const Ticket ticket{.id = id, .tenant = tenant, .tokens = tokens};
    tickets_[id] = ticket;
    caf::anon_send(actor_, AcquireMessage{ticket, [this, id](const Status& status) {
                                            (status.ok() ? let_run_ : refused_).push_back(id);
                                            status_ = status;
                                          }});
    actors_.Run();
  }

  void Release(uint64_t id, int64_t used_tokens = 10) {
    caf::anon_send(actor_, ReleaseMessage{tickets_[id], used_tokens});
    actors_.Run();
  }

  double Gauge(const platform::MetricDefinition& definition) { return metrics_.Gauge(definition).Value(); }

  platform::Metrics metrics_;
  conclave::testing::SteppedActors actors_;
  caf::actor actor_;
  std::map<uint64_t, Ticket> tickets_;
  std::vector<uint64_t> let_run_;
  std::vector<uint64_t> refused_;
  Status status_;
};

TEST_F(AdmissionActorTest, RunsAsManyAsMayAndTheOthersInTheirTurn) {
  Start({.running_answers = 2});
  for (uint64_t id = 1; id <= 4; ++id) Acquire(id);
  EXPECT_THAT(let_run_, ElementsAre(1, 2));
  Release(2);
  EXPECT_THAT(let_run_, ElementsAre(1, 2, 3));
  Release(1);
  EXPECT_THAT(let_run_, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(refused_, IsEmpty());
}

TEST_F(AdmissionActorTest, TenantsTakeTurns) {
  Start({.running_answers = 1});
  for (uint64_t id = 1; id <= 3; ++id) Acquire(id, "greedy", 100);
  Acquire(4, "modest", 100);
  Release(1, 100);
  EXPECT_THAT(let_run_, ElementsAre(1, 4));
}

TEST_F(AdmissionActorTest, FullQueueRefusesAtOnceAndSaysWhenToComeAgain) {
  Start({.running_answers = 1, .queued_requests = 1});
  Acquire(1);
  Acquire(2);
  Acquire(3);
  EXPECT_THAT(refused_, ElementsAre(3));
  EXPECT_EQ(status_.code(), StatusCode::kResourceExhausted);
  EXPECT_GT(status_.retry_after_ms(), 0);
  Release(3, 0);  // Its client left without having heard of the refusal.
  EXPECT_THAT(let_run_, ElementsAre(1));
  Release(1);
  EXPECT_THAT(let_run_, ElementsAre(1, 2));
}

TEST_F(AdmissionActorTest, WhoLeavesTheQueueIsNeverLetRun) {
  Start({.running_answers = 1});
  for (uint64_t id = 1; id <= 3; ++id) Acquire(id);
  Release(2, 0);
  Release(2, 0);
  EXPECT_THAT(let_run_, ElementsAre(1));
  Release(1);
  EXPECT_THAT(let_run_, ElementsAre(1, 3));
  Release(3);
  EXPECT_EQ(Gauge(kRunningRequests), 0.0);
}

TEST_F(AdmissionActorTest, TurnIsGivenOnceHoweverOftenItIsReturned) {
  Start({.running_answers = 1});
  for (uint64_t id = 1; id <= 3; ++id) Acquire(id);
  Release(1);
  Release(1);
  EXPECT_THAT(let_run_, ElementsAre(1, 2));
}

TEST_F(AdmissionActorTest, GaugesFollow) {
  Start({.running_answers = 1});
  Acquire(1, "a", 10);
  Acquire(2, "a", 30);
  Acquire(3, "b", 50);
  EXPECT_EQ(Gauge(kRunningRequests), 1.0);
  EXPECT_EQ(Gauge(kQueuedRequests), 2.0);
  EXPECT_EQ(Gauge(kQueuedTokens), 80.0);
  Release(1);
  EXPECT_EQ(Gauge(kRunningRequests), 1.0);
  EXPECT_EQ(Gauge(kQueuedRequests), 1.0);
  for (const uint64_t id : {2, 3}) Release(id);
  EXPECT_EQ(Gauge(kRunningRequests), 0.0);
  EXPECT_EQ(Gauge(kQueuedTokens), 0.0);
}

/// What the actor keeps of a request (its callback holds the request's actor) goes with the request.
TEST_F(AdmissionActorTest, NothingIsKeptOfWhoIsGone) {
  Start({.running_answers = 1, .queued_requests = 1});
  auto kept = std::make_shared<int>(0);
  for (uint64_t id = 1; id <= 3; ++id) {
    const Ticket ticket{.id = id, .tenant = "a", .tokens = 10};
    tickets_[id] = ticket;
    caf::anon_send(actor_, AcquireMessage{ticket, [kept](const Status&) {}});
    actors_.Run();
  }
  Release(2, 0);
  Release(1);
  EXPECT_EQ(kept.use_count(), 1);
}

}  // namespace
}  // namespace conclave::router
