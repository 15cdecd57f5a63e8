#include <future>
#include <thread>

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <gtest/gtest.h>

#include "platform/module.h"
#include "services/feedback/change_queue.h"
#include "services/feedback/feedback_desk.h"
#include "services/feedback/rating_actor.h"
#include "services/feedback/writer_actor.h"
#include "tests/unit/feedback/feedback_fixture.h"

namespace conclave::feedback {
namespace {

/// The real actors over a real store.
class CommitRaceTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    writer_ = actors_.get().spawn<caf::detached>(WriterActor, store_.get(), &metrics_);
    rating_ = actors_.get().spawn(RatingActor, writer_);
    queue_ = std::make_unique<ChangeQueue>(rating_, metrics_);
    desk_ = std::make_unique<FeedbackDesk>(signer_, *queue_, metrics_, [this] { return now_ms_; });
  }

  void TearDown() override {
    caf::anon_send_exit(rating_, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(writer_, caf::exit_reason::user_shutdown);
    caf::scoped_actor self(actors_.get());
    self->wait_for(rating_, writer_);
  }

  std::string RecordNow(const v1::RecordRequest& record) {
    std::promise<Result<v1::RecordResponse>> promise;
    desk_->Record(record, [&](auto result) { promise.set_value(std::move(result)); }, nullptr);
    auto result = promise.get_future().get();
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    return result.ok() ? result->vote_token() : "";
  }

  Status RateNow(const v1::RateRequest& rating) {
    std::promise<Status> promise;
    desk_->Rate(rating, "default", [&](const auto& result) { promise.set_value(result.status()); }, nullptr);
    return promise.get_future().get();
  }

  platform::ActorSystem actors_;
  platform::Metrics metrics_;
  caf::actor writer_;
  caf::actor rating_;
  std::unique_ptr<ChangeQueue> queue_;
  std::unique_ptr<FeedbackDesk> desk_;
};

TEST_F(CommitRaceTest, OneTokenUsedFromTwoThreadsCountsOnce) {
  constexpr int kRounds = 50;
  for (int round = 0; round < kRounds; ++round) {
    const std::string id = "r" + std::to_string(round);
    const std::string token = RecordNow(ChatAnswer(id));
    Status results[2];
    std::thread threads[2];
    for (int i = 0; i < 2; ++i) {
      threads[i] = std::thread([&, i] { results[i] = RateNow(Rating(id, token, StarsVote(i + 1))); });
    }
    for (auto& thread : threads) thread.join();
    ASSERT_NE(results[0].ok(), results[1].ok()) << round;
    EXPECT_EQ((results[0].ok() ? results[1] : results[0]).code(), StatusCode::kAlreadyExists);
  }
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS).size(), static_cast<size_t>(kRounds));
}

TEST_F(CommitRaceTest, ComparisonAndThumbRaceForAToken) {
  constexpr int kRounds = 25;
  size_t acknowledged = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::string a = "a" + std::to_string(round);
    const std::string b = "b" + std::to_string(round);
    const std::string token_a = RecordNow(ChatAnswer(a, "Same?", "One."));
    const std::string token_b = RecordNow(ChatAnswer(b, "Same?", "Two."));
    Status comparison, thumb;
    const auto vote = PreferenceVote(b, token_b, v1::Preference::OUTCOME_RATED_IS_BETTER);
    std::thread compare([&] { comparison = RateNow(Rating(a, token_a, vote)); });
    std::thread rate([&] { thumb = RateNow(Rating(b, token_b, ThumbVote(v1::THUMB_GOOD))); });
    compare.join();
    rate.join();
    ASSERT_NE(comparison.ok(), thumb.ok()) << round;
    ++acknowledged;
  }
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_RATINGS).size(), acknowledged);
}

TEST_F(CommitRaceTest, ManyThreadsShareWrites) {
  constexpr int kThreads = 8;
  constexpr int kEach = 20;
  std::vector<std::thread> threads;
  std::atomic<int> failures = 0;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const std::string id = std::to_string(t) + "-" + std::to_string(i);
        if (!RateNow(Rating(id, RecordNow(ChatAnswer(id)), ThumbVote(v1::THUMB_BAD))).ok()) ++failures;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(Export(v1::EXPORT_FORMAT_UNPAIRED).size(), static_cast<size_t>(kThreads * kEach));
  EXPECT_NE(metrics_.Exposition().find("conclave_feedback_ratings_total{kind=\"thumb\"} 160"),
            std::string::npos);
}

}  // namespace
}  // namespace conclave::feedback
