#include "services/router/fair_queue.h"

#include <map>

#include <gtest/gtest.h>

#include "services/router/limits.h"

namespace conclave::router {
namespace {

Ticket For(const std::string& tenant, uint64_t id, int64_t tokens) {
  return {.id = id, .tenant = tenant, .tokens = tokens};
}

TEST(FairQueueTest, OneTenantIsServedInItsOrder) {
  FairQueue queue({});
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(queue.Add(For("a", id, 10)).ok());
  EXPECT_EQ(queue.queued_requests(), 3);
  EXPECT_EQ(queue.queued_tokens(), 30);
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(queue.Next()->id, id);
  EXPECT_FALSE(queue.Next().has_value());
  EXPECT_EQ(queue.queued_tokens(), 0);
  EXPECT_EQ(queue.running_requests(), 3);
}

TEST(FairQueueTest, NoMoreRunThanMay) {
  FairQueue queue({.running_answers = 1});
  ASSERT_TRUE(queue.Add(For("a", 1, 10)).ok());
  ASSERT_TRUE(queue.Add(For("a", 2, 10)).ok());
  const auto first = queue.Next();
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(queue.Next().has_value());
  queue.Finish(*first, 10);
  EXPECT_EQ(queue.Next()->id, 2u);
}

TEST(FairQueueTest, EachOfARequestsAnswersCounts) {
  FairQueue queue({.running_answers = 4});
  auto add = [&](uint64_t id, int64_t answers) {
    ASSERT_TRUE(queue.Add({.id = id, .tenant = "a", .tokens = 10, .answers = answers}).ok());
  };
  add(1, 3);
  add(2, 2);
  add(3, 9);
  const auto first = queue.Next();
  ASSERT_EQ(first->id, 1u);
  EXPECT_FALSE(queue.Next().has_value()) << "two answers beside three are more than four";
  queue.Finish(*first, 10);
  const auto second = queue.Next();
  ASSERT_EQ(second->id, 2u);
  EXPECT_FALSE(queue.Next().has_value());
  queue.Finish(*second, 10);
  EXPECT_EQ(queue.Next()->id, 3u) << "more than may run at all: alone, for the decoder to say so";
}

TEST(FairQueueTest, AFewRequestsDoNotWaitBehindManyOfAnother) {
  FairQueue queue({.running_answers = 1});
  for (uint64_t id = 1; id <= 50; ++id) ASSERT_TRUE(queue.Add(For("greedy", id, 100)).ok());
  ASSERT_TRUE(queue.Add(For("modest", 99, 100)).ok());
  int served = 0;
  for (auto ticket = queue.Next(); ticket.has_value() && ticket->id != 99; ticket = queue.Next()) {
    ++served;
    queue.Finish(*ticket, 100);
  }
  EXPECT_LE(served, 1);
}

TEST(FairQueueTest, TenantsShareTokensNotRequests) {
  FairQueue queue({.running_answers = 1, .queued_requests = 1000});
  for (uint64_t id = 1; id <= 200; ++id) ASSERT_TRUE(queue.Add(For("long", id, 300)).ok());
  for (uint64_t id = 201; id <= 500; ++id) ASSERT_TRUE(queue.Add(For("short", id, 100)).ok());
  std::map<std::string, int64_t> tokens;
  for (int i = 0; i < 200; ++i) {
    const auto ticket = queue.Next();
    ASSERT_TRUE(ticket.has_value());
    tokens[ticket->tenant] += ticket->tokens;
    queue.Finish(*ticket, ticket->tokens);
  }
  EXPECT_NEAR(static_cast<double>(tokens["long"]), static_cast<double>(tokens["short"]), 300.0);
}

TEST(FairQueueTest, WhatWasNotUsedIsNotCharged) {
  FairQueue queue({.running_answers = 1});
  ASSERT_TRUE(queue.Add(For("a", 1, 1000)).ok());
  ASSERT_TRUE(queue.Add(For("a", 2, 1000)).ok());
  ASSERT_TRUE(queue.Add(For("b", 3, 100)).ok());
  ASSERT_TRUE(queue.Add(For("b", 4, 100)).ok());
  const auto first = queue.Next();
  ASSERT_EQ(first->id, 1u);
  queue.Finish(*first, 10);
  const auto second = queue.Next();
  ASSERT_EQ(second->id, 3u);
  queue.Finish(*second, 100);
  EXPECT_EQ(queue.Next()->id, 2u) << "tenant a used 10 tokens and b 100";
}

TEST(FairQueueTest, IdlingSavesNothingUp) {
  FairQueue queue({.running_answers = 1});
  uint64_t id = 0;
  ASSERT_TRUE(queue.Add(For("idle", ++id, 1)).ok());
  queue.Finish(*queue.Next(), 1);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(queue.Add(For("busy", ++id, 100)).ok());
  for (int i = 0; i < 10; ++i) queue.Finish(*queue.Next(), 100);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(queue.Add(For("idle", ++id, 100)).ok());
  int served_idle = 0;
  for (int i = 0; i < 10; ++i) {
    const auto ticket = queue.Next();
    served_idle += ticket->tenant == "idle" ? 1 : 0;
    queue.Finish(*ticket, 100);
  }
  EXPECT_GE(served_idle, 5);
  EXPECT_LE(served_idle, 6);
}

TEST(FairQueueTest, FullQueueRefusesAndSaysWhenToComeAgain) {
  FairQueue queue({.queued_requests = 2});
  ASSERT_TRUE(queue.Add(For("a", 1, 10)).ok());
  ASSERT_TRUE(queue.Add(For("a", 2, 10)).ok());
  const Status status = queue.Add(For("b", 3, 10));
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_GT(status.retry_after_ms(), 0);
  EXPECT_EQ(queue.queued_requests(), 2);
}

TEST(FairQueueTest, QueueIsBoundedByTokensButHoldsOneLargeRequest) {
  FairQueue queue({.queued_tokens = 100});
  ASSERT_TRUE(queue.Add(For("a", 1, 500)).ok());
  EXPECT_EQ(queue.Add(For("a", 2, 1)).code(), StatusCode::kResourceExhausted);
  ASSERT_TRUE(queue.Next().has_value());
  EXPECT_TRUE(queue.Add(For("a", 2, 100)).ok());
}

TEST(FairQueueTest, RemovedTicketIsForgotten) {
  FairQueue queue({});
  ASSERT_TRUE(queue.Add(For("a", 1, 10)).ok());
  ASSERT_TRUE(queue.Add(For("a", 2, 20)).ok());
  EXPECT_TRUE(queue.Remove(1));
  EXPECT_FALSE(queue.Remove(1));
  EXPECT_FALSE(queue.Remove(3));
  EXPECT_EQ(queue.queued_requests(), 1);
  EXPECT_EQ(queue.queued_tokens(), 20);
  EXPECT_EQ(queue.Next()->id, 2u);
}

TEST(FairQueueTest, FinishOfATicketThatNeverRanChangesNothing) {
  FairQueue queue({.running_answers = 1});
  queue.Finish(For("a", 7, 10), 0);  // A client left while its refusal was on the way to it.
  EXPECT_EQ(queue.running_requests(), 0);
  ASSERT_TRUE(queue.Add(For("a", 1, 10)).ok());
  ASSERT_TRUE(queue.Add(For("a", 2, 10)).ok());
  ASSERT_TRUE(queue.Next().has_value());
  EXPECT_FALSE(queue.Next().has_value()) << "only one may run";
}

TEST(FairQueueTest, IdleDebtorsAreForgottenWhenOthersCaughtUp) {
  FairQueue queue({.running_answers = 1});
  uint64_t id = 0;
  auto serve = [&](const std::string& tenant, int64_t tokens) {
    ASSERT_TRUE(queue.Add(For(tenant, ++id, tokens)).ok());
    queue.Finish(*queue.Next(), tokens);
  };
  serve("debtor", 1000);
  EXPECT_EQ(queue.known_tenants(), 1) << "what it got is remembered";
  for (int i = 0; i < 11; ++i) serve("other", 100);
  EXPECT_EQ(queue.known_tenants(), 1) << "the other one is ahead of it now, and owes it nothing";
}

TEST(FairQueueTest, NamesThatNeverComeAgainDoNotFillTheMemory) {
  FairQueue queue({.running_answers = 4});
  for (uint64_t id = 1; id <= 20'000; ++id) {
    ASSERT_TRUE(queue.Add(For("hostile-" + std::to_string(id), id, 1000)).ok());
    const auto ticket = queue.Next();
    ASSERT_TRUE(ticket.has_value());
    queue.Finish(*ticket, 1000);
  }
  EXPECT_LE(queue.known_tenants(), kMostIdleTenants);
}

TEST(FairQueueTest, SmallestDebtsAreForgottenFirst) {
  FairQueue queue({.running_answers = 1});
  uint64_t id = 0;
  auto serve = [&](const std::string& tenant, int64_t tokens) {
    ASSERT_TRUE(queue.Add(For(tenant, ++id, tokens)).ok());
    queue.Finish(*queue.Next(), tokens);
  };
  serve("large debtor", 100'000);
  for (int64_t i = 0; i < 3 * kMostIdleTenants; ++i) serve("hostile-" + std::to_string(i), 1000);
  ASSERT_TRUE(queue.Add(For("large debtor", 1'000'001, 10)).ok());
  ASSERT_TRUE(queue.Add(For("newcomer", 1'000'002, 10)).ok());
  EXPECT_EQ(queue.Next()->tenant, "newcomer");
}

TEST(FairQueueTest, DebtorThatComesAgainStillWaitsForTheOthers) {
  FairQueue queue({.running_answers = 1});
  ASSERT_TRUE(queue.Add(For("debtor", 1, 1000)).ok());
  queue.Finish(*queue.Next(), 1000);
  for (uint64_t id = 2; id <= 6; ++id) ASSERT_TRUE(queue.Add(For("debtor", id, 100)).ok());
  for (uint64_t id = 7; id <= 11; ++id) ASSERT_TRUE(queue.Add(For("other", id, 100)).ok());
  for (uint64_t id = 7; id <= 11; ++id) {
    const auto ticket = queue.Next();
    EXPECT_EQ(ticket->id, id);
    queue.Finish(*ticket, 100);
  }
}

}  // namespace
}  // namespace conclave::router
