#include "engine/parallel/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/engine/parallel/one_processor.h"

namespace conclave::engine {
namespace {

TEST(ThreadPoolTest, DefaultsToTheUsableProcessors) {
  EXPECT_EQ(ThreadPool().size(), UsableProcessors());
  EXPECT_EQ(ThreadPool(3).size(), 3);
}

TEST(ThreadPoolTest, MembersThatRestComeToTheNextRegion) {
  ThreadPool pool(3);
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> runs = 0;
    pool.Run([&](int) { ++runs; });
    EXPECT_EQ(runs, 3);
    pool.Rest();
    if (round % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST(ThreadPoolTest, RunsOnceOnEachMemberAndTheCallerIsMemberZero) {
  for (const int size : {1, 2, 5}) {
    ThreadPool pool(size);
    for (int round = 0; round < 100; ++round) {
      std::vector<std::atomic<int>> runs(size);
      std::vector<std::thread::id> threads(size);
      pool.Run([&](int member) {
        runs[member].fetch_add(1);
        threads[member] = std::this_thread::get_id();
      });
      EXPECT_EQ(threads[0], std::this_thread::get_id());
      for (int member = 0; member < size; ++member) {
        EXPECT_EQ(runs[member], 1);
        if (member > 0) {
          EXPECT_NE(threads[member], threads[0]);
        }
      }
    }
  }
}

TEST(ThreadPoolTest, PinnedThreadsStayOnOneProcessorEach) {
  const std::vector<int> processors = AffinityProcessors();
  ASSERT_FALSE(processors.empty());
  const int size = static_cast<int>(processors.size()) + 1;
  ThreadPool pool(size, true);
  std::vector<std::vector<int>> allowed(size);
  pool.Run([&](int member) { allowed[member] = AffinityProcessors(); });
  EXPECT_EQ(allowed[0], processors) << "the caller's own thread";
  for (int member = 1; member < size; ++member) {
    EXPECT_EQ(allowed[member], std::vector<int>{processors[member % processors.size()]});
  }
}

/// Before how many of `regions` regions a thread that always wants this processor ran.
int RegionsAfterAnotherThread(int regions, int yields) {
  const OneProcessor one;
  std::atomic<int64_t> turns{0};
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) turns.fetch_add(1);
  });
  while (turns == 0) std::this_thread::yield();
  ThreadPool pool(1);
  pool.YieldBefore(yields);
  int after = 0;
  int64_t seen = turns;
  for (int i = 0; i < regions; ++i) {
    pool.Run([&](int) { after += seen != turns ? 1 : 0; });
    seen = turns;
  }
  stop = true;
  other.join();
  return after;
}

TEST(ThreadPoolTest, YieldsBeforeAsManyRegionsAsItIsTold) {
  // What else the machine does may take a turn from the other thread, or give it one.
  EXPECT_GE(RegionsAfterAnotherThread(400, 400), 40);
  EXPECT_LE(RegionsAfterAnotherThread(400, 0), 20);
  const int some = RegionsAfterAnotherThread(400, 100);
  EXPECT_GE(some, 10);
  EXPECT_LE(some, 120);
}

using Parts = std::vector<std::pair<int64_t, int64_t>>;

Parts PartsOf(ThreadPool& pool, int64_t count, int64_t grain) {
  std::mutex mutex;
  Parts parts;
  pool.ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
    std::lock_guard lock(mutex);
    parts.emplace_back(begin, end);
  });
  std::sort(parts.begin(), parts.end());
  return parts;
}

TEST(ThreadPoolTest, PartsCoverEverythingOnceInWholeGrains) {
  for (const int size : {1, 2, 3, 7}) {
    ThreadPool pool(size);
    for (const int64_t count : {0, 1, 2, 15, 16, 17, 100, 577}) {
      for (const int64_t grain : {1, 16, 33, 1000}) {
        int64_t next = 0;
        const Parts parts = PartsOf(pool, count, grain);
        EXPECT_LE(parts.size(), static_cast<size_t>(size));
        for (const auto& [begin, end] : parts) {
          EXPECT_EQ(begin, next);
          EXPECT_EQ(begin % grain, 0);
          EXPECT_LT(begin, end);
          next = end;
        }
        EXPECT_EQ(next, count);
      }
    }
  }
}

TEST(ThreadPoolTest, PartsAreEven) {
  ThreadPool pool(3);
  EXPECT_EQ(PartsOf(pool, 100, 10), (Parts{{0, 40}, {40, 70}, {70, 100}}));
}

TEST(ThreadPoolTest, ASinglePartRunsOnTheCaller) {
  ThreadPool pool(4);
  std::thread::id thread;
  pool.ParallelFor(10, 16, [&](int64_t, int64_t) { thread = std::this_thread::get_id(); });
  EXPECT_EQ(thread, std::this_thread::get_id());
}

TEST(ThreadPoolTest, WritesAreVisibleToTheCallerAndTheNextRegion) {
  ThreadPool pool(4);
  std::vector<int64_t> from(1000, 0), to(1000);
  for (int64_t round = 0; round < 1000; ++round) {
    // Every member reads what another one wrote in the region before.
    pool.ParallelFor(1000, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = from[999 - i] + 1;
    });
    ASSERT_EQ(to, std::vector<int64_t>(1000, round + 1));
    std::swap(from, to);
  }
}

TEST(ThreadPoolTest, PoolsComeAndGoBusyOrAsleep) {
  for (int round = 0; round < 50; ++round) {
    ThreadPool idle(4);
    ThreadPool used(round % 5 + 1);
    std::atomic<int> runs = 0;
    used.Run([&](int) { ++runs; });
    EXPECT_EQ(runs, used.size());
  }
}

TEST(ThreadPoolTest, SleepingMembersWake) {
  ThreadPool pool(2);
  for (int round = 0; round < 20; ++round) {
    // Members fall asleep while the caller works for longer than they spin.
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
    while (std::chrono::steady_clock::now() < end) {
    }
    std::atomic<int> runs = 0;
    pool.Run([&](int) { ++runs; });
    EXPECT_EQ(runs, 2);
  }
}

TEST(ThreadPoolTest, DifferentThreadsMayTakeTurns) {
  ThreadPool pool(3);
  std::atomic<int> runs = 0;
  for (int round = 0; round < 20; ++round) {
    std::thread([&] { pool.Run([&](int) { ++runs; }); }).join();
  }
  EXPECT_EQ(runs, 60);
}

}  // namespace
}  // namespace conclave::engine
