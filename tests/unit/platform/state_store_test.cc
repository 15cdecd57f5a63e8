#include "platform/state/state_store.h"

#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "platform/identity.h"
#include "platform/state/limits.h"
#include "platform/state/open_state_store.h"
#include "tests/unit/platform/redis_server.h"
#include "tests/unit/platform/test_support.h"

namespace conclave::platform {
namespace {

using test::Eventually;

/// The same promises, kept by each implementation.
class StateStoreTest : public ::testing::TestWithParam<StateBackend> {
 protected:
  void SetUp() override {
    if (GetParam() == StateBackend::kRocksDb) {
      auto store = OpenRocksDbStateStore(folder_.path() / "state", NowMs);
      ASSERT_TRUE(store.ok()) << store.status().ToString();
      store_ = std::move(store).value();
      return;
    }
    redis_ = std::make_unique<test::RedisServer>();
    ASSERT_TRUE(redis_->started()) << "redis-server cannot be started";
    auto store = OpenRedisStateStore(redis_->Address(), 5000);
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    store_ = std::move(store).value();
    ASSERT_TRUE(Eventually([&] { return store_->Ping().ok(); }));
  }

  std::vector<std::string> Listed(std::string_view prefix, std::string_view after = "", size_t limit = 100) {
    const auto entries = store_->List(prefix, after, limit);
    EXPECT_TRUE(entries.ok()) << entries.status().ToString();
    std::vector<std::string> keys;
    for (const StateEntry& entry : *entries) keys.push_back(entry.key);
    return keys;
  }

  test::TemporaryFolder folder_;
  std::unique_ptr<test::RedisServer> redis_;
  std::unique_ptr<StateStore> store_;
};

using Texts = std::vector<std::string>;

TEST_P(StateStoreTest, StoresAnyBytes) {
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte += static_cast<char>(i);
  ASSERT_TRUE(store_->Put(every_byte, every_byte, 0).ok());
  EXPECT_EQ(*store_->Get(every_byte), every_byte);
  ASSERT_TRUE(store_->Put("empty", "", 0).ok());
  EXPECT_EQ(*store_->Get("empty"), "");
  EXPECT_EQ(*store_->Get("absent"), std::nullopt);
  EXPECT_EQ(Listed("").size(), 2u);
}

TEST_P(StateStoreTest, DeletesOnce) {
  ASSERT_TRUE(store_->Put("key", "value", 0).ok());
  EXPECT_TRUE(*store_->Delete("key"));
  EXPECT_FALSE(*store_->Delete("key"));
  EXPECT_EQ(*store_->Get("key"), std::nullopt);
  EXPECT_TRUE(Listed("").empty());
}

TEST_P(StateStoreTest, AnEntryLivesAsLongAsItsTtlAndNoLonger) {
  const int64_t put_ms = NowMs();
  ASSERT_TRUE(store_->Put("short", "value", 300).ok());
  ASSERT_TRUE(store_->Put("long", "value", 3'600'000).ok());
  const bool was_there = store_->Get("short")->has_value();
  if (NowMs() - put_ms < 300) {
    EXPECT_TRUE(was_there);
  }
  ASSERT_TRUE(Eventually([&] { return !store_->Get("short")->has_value(); }));
  EXPECT_GE(NowMs() - put_ms, 299);
  EXPECT_EQ(Listed(""), (Texts{"long"}));
  EXPECT_FALSE(*store_->Delete("short"));
  EXPECT_TRUE(*store_->CompareAndSwap("short", std::nullopt, "again", 0));
}

TEST_P(StateStoreTest, PuttingAgainReplacesTheTtl) {
  ASSERT_TRUE(store_->Put("key", "short", 20).ok());
  ASSERT_TRUE(store_->Put("key", "forever", 0).ok());
  ASSERT_TRUE(store_->Put("clock", "", 60).ok());
  ASSERT_TRUE(Eventually([&] { return !store_->Get("clock")->has_value(); }));
  ASSERT_TRUE(store_->Put("other", "makes the store clear away", 0).ok());
  EXPECT_EQ(*store_->Get("key"), "forever");
  EXPECT_EQ(Listed("k"), (Texts{"key"}));
}

TEST_P(StateStoreTest, SwapsOnlyWhatIsExpected) {
  EXPECT_FALSE(*store_->CompareAndSwap("key", "value", "new", 0));
  EXPECT_TRUE(*store_->CompareAndSwap("key", std::nullopt, "one", 0));
  EXPECT_FALSE(*store_->CompareAndSwap("key", std::nullopt, "two", 0));
  EXPECT_FALSE(*store_->CompareAndSwap("key", "", "two", 0));
  EXPECT_TRUE(*store_->CompareAndSwap("key", "one", "two", 0));
  EXPECT_EQ(*store_->Get("key"), "two");
}

TEST_P(StateStoreTest, OneOfManySwappersWins) {
  std::atomic<int> winners{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const auto swapped = store_->CompareAndSwap("lock", std::nullopt, std::to_string(i), 0);
      if (swapped.ok() && *swapped) ++winners;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(winners, 1);
}

TEST_P(StateStoreTest, CountsExactlyFromManyThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 50; ++j) EXPECT_TRUE(store_->Increment("counter", 2, 0).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(*store_->Increment("counter", -1, 0), 399);
}

TEST_P(StateStoreTest, CountersKeepFullPrecisionAndRefuseToOverflow) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(*store_->Increment("big", kMax - 1, 0), kMax - 1);
  EXPECT_EQ(*store_->Increment("big", 1, 0), kMax);
  EXPECT_EQ(store_->Increment("big", 1, 0).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(*store_->Increment("big", 0, 0), kMax);
}

TEST_P(StateStoreTest, ACounterExpiresFromItsFirstIncrement) {
  EXPECT_EQ(*store_->Increment("window", 1, 100), 1);
  // Later increments with a long time to live do not prolong it.
  ASSERT_TRUE(Eventually([&] { return *store_->Increment("window", 1, 3'600'000) == 1; }));
  EXPECT_EQ(*store_->Increment("window", 1, 100), 2);
}

TEST_P(StateStoreTest, ListsAPrefixInByteOrderPageByPage) {
  for (const char* key : {"p:b", "p:\xff", "p:a", "q", "o", "p:c", "p"})
    ASSERT_TRUE(store_->Put(key, key, 0).ok());
  EXPECT_EQ(Listed("p:"), (Texts{"p:a", "p:b", "p:c", "p:\xff"}));
  EXPECT_EQ(Listed("p:", "", 2), (Texts{"p:a", "p:b"}));
  EXPECT_EQ(Listed("p:", "p:b", 2), (Texts{"p:c", "p:\xff"}));
  EXPECT_EQ(Listed("p:", "a"), Listed("p:"));
  EXPECT_EQ(Listed("").size(), 7u);
  EXPECT_TRUE(Listed("p:", "z").empty());
}

TEST_P(StateStoreTest, QueuesAreFirstInFirstOutAndBounded) {
  for (const char* value : {"1", "2", "3"}) ASSERT_TRUE(store_->Append("queue", value, 3).ok());
  EXPECT_EQ(store_->Append("queue", "4", 3).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(*store_->QueueLength("queue"), 3u);
  EXPECT_EQ(*store_->Pop("queue", 2), (Texts{"1", "2"}));
  ASSERT_TRUE(store_->Append("queue", "4", 3).ok());
  EXPECT_EQ(*store_->Pop("queue", 10), (Texts{"3", "4"}));
  EXPECT_EQ(*store_->Pop("queue", 10), Texts{});
  EXPECT_EQ(*store_->QueueLength("queue"), 0u);
}

TEST_P(StateStoreTest, NameSpacesDoNotMix) {
  ASSERT_TRUE(store_->Put("name", "entry", 0).ok());
  ASSERT_TRUE(store_->Append("name", "value", 9).ok());
  EXPECT_EQ(*store_->Increment("name", 1, 0), 1);
  EXPECT_EQ(*store_->Get("name"), "entry");
  EXPECT_EQ(*store_->QueueLength("name"), 1u);
}

TEST_P(StateStoreTest, RefusesWhatIsOutsideItsLimits) {
  const auto invalid = StatusCode::kInvalidArgument;
  EXPECT_EQ(store_->Put("", "value", 0).code(), invalid);
  EXPECT_EQ(store_->Put(std::string(kMaxStateKeyBytes + 1, 'k'), "", 0).code(), invalid);
  EXPECT_EQ(store_->Put("key", std::string(kMaxStateValueBytes + 1, 'v'), 0).code(), invalid);
  EXPECT_EQ(store_->Put("key", "", -1).code(), invalid);
  EXPECT_EQ(store_->Put("key", "", kMaxStateTtlMs + 1).code(), invalid);
  EXPECT_EQ(store_->List("", "", 0).status().code(), invalid);
  EXPECT_EQ(store_->Pop("queue", kMaxStateListEntries + 1).status().code(), invalid);
  EXPECT_TRUE(store_->Put(std::string(kMaxStateKeyBytes, 'k'), "", kMaxStateTtlMs).ok());
}

INSTANTIATE_TEST_SUITE_P(Backends, StateStoreTest,
                         ::testing::Values(StateBackend::kRocksDb, StateBackend::kRedis),
                         [](const auto& info) {
                           return info.param == StateBackend::kRocksDb ? "RocksDb" : "Redis";
                         });

TEST(RocksDbStateStoreTest, ExpiresAtTheMillisecondAndClearsAway) {
  const test::TemporaryFolder folder;
  std::atomic<int64_t> now_ms{1'000'000};
  auto store = OpenRocksDbStateStore(folder.path(), [&] { return now_ms.load(); });
  ASSERT_TRUE(store.ok());
  ASSERT_TRUE((*store)->Put("key", "value", 100).ok());
  now_ms += 99;
  EXPECT_EQ(*(*store)->Get("key"), "value");
  now_ms += 1;
  EXPECT_EQ(*(*store)->Get("key"), std::nullopt);
  ASSERT_TRUE((*store)->Put("other", "", 0).ok());
  now_ms -= 50;  // Were it still on disk, it would live again.
  EXPECT_EQ(*(*store)->Get("key"), std::nullopt);
}

TEST(RedisStateStoreTest, AnUnreachableServerIsUnavailableAndComesBack) {
  test::RedisServer redis;
  ASSERT_TRUE(redis.started());
  auto store = OpenRedisStateStore(redis.Address(), 2000);
  ASSERT_TRUE(store.ok());
  ASSERT_TRUE(Eventually([&] { return (*store)->Put("key", "value", 0).ok(); }));
  redis.Stop();
  const auto gone = (*store)->Get("key");
  EXPECT_EQ(gone.status().code(), StatusCode::kUnavailable) << gone.status().ToString();
  EXPECT_GT(gone.status().retry_after_ms(), 0);
  redis.Start();
  EXPECT_TRUE(Eventually([&] { return (*store)->Ping().ok(); }));
  EXPECT_EQ(*(*store)->Get("key"), std::nullopt);
}

TEST(RedisStateStoreTest, RefusesAddressesThatAreNone) {
  EXPECT_EQ(OpenRedisStateStore("nonsense", 1000).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(OpenRedisStateStore("inproc:x", 1000).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace conclave::platform
