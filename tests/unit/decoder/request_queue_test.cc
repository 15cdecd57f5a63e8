#include "services/decoder/request_queue.h"

#include "tests/unit/decoder/scheduler_fixture.h"

namespace conclave::decoder {
namespace {

class RequestQueueTest : public ::testing::Test {
 protected:
  Status Add(uint64_t id, int64_t prompt_tokens, int64_t max_tokens) {
    return queue_.Add(
        Request(sink_, id, prompt_tokens, max_tokens),
        [this](const EventSink* sink, uint64_t asked) { return sink == sink_.get() && asked == running_; });
  }

  std::shared_ptr<CollectingSink> sink_ = std::make_shared<CollectingSink>();
  uint64_t running_ = 0;
  RequestQueue queue_{{.queued_sequences = 3, .queued_tokens = 40}, 16, 8, 512};
};

TEST_F(RequestQueueTest, CountsWhatWaitsUntilItIsTaken) {
  ASSERT_TRUE(Add(1, 3, 5).ok());
  ASSERT_TRUE(Add(2, 4, 6).ok());
  EXPECT_EQ(queue_.sequences(), 2);
  EXPECT_EQ(queue_.tokens(), 18);
  auto next = queue_.begin();
  EXPECT_EQ(queue_.Take(next).id, 1u);
  EXPECT_EQ(next->id, 2u);
  EXPECT_EQ(queue_.sequences(), 1);
  EXPECT_EQ(queue_.tokens(), 10);
  EXPECT_EQ(queue_.Take(next).id, 2u);
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(queue_.tokens(), 0);
}

TEST_F(RequestQueueTest, IsFullByTokensUnlessNothingWaits) {
  ASSERT_TRUE(Add(1, 3, 100).ok()) << "one alone may be larger than the queue";
  EXPECT_EQ(Add(2, 1, 1).code(), StatusCode::kResourceExhausted);
  queue_.CancelAll(sink_.get());
  EXPECT_EQ(queue_.tokens(), 0);
  EXPECT_TRUE(Add(2, 1, 1).ok());
}

TEST_F(RequestQueueTest, RefusesAnIdThatRuns) {
  running_ = 7;
  EXPECT_EQ(Add(7, 3, 5).code(), StatusCode::kAlreadyExists);
  EXPECT_TRUE(Add(8, 3, 5).ok());
}

TEST_F(RequestQueueTest, CancelSaysWhomToTellAndForgets) {
  ASSERT_TRUE(Add(1, 3, 5).ok());
  EXPECT_FALSE(queue_.Cancel(sink_.get(), 2).has_value());
  EXPECT_FALSE(queue_.Cancel(nullptr, 1).has_value());
  const auto cancelled = queue_.Cancel(sink_.get(), 1);
  ASSERT_TRUE(cancelled.has_value());
  EXPECT_EQ(cancelled->first, sink_);
  EXPECT_EQ(cancelled->second.sequence_id, 1u);
  EXPECT_EQ(cancelled->second.end->reason, FinishReason::kCancelled);
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(queue_.sequences(), 0);
}

}  // namespace
}  // namespace conclave::decoder
