#include "platform/shutdown_latch.h"

#include <chrono>
#include <thread>

#include <caf/all.hpp>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include "platform/module.h"
#include "tests/unit/platform/test_support.h"

namespace conclave::platform {
namespace {

using namespace std::chrono_literals;

TEST(ShutdownLatchTest, ASignalEndsTheWait) {
  const ShutdownLatch latch({SIGUSR1});
  EXPECT_FALSE(latch.requested());
  EXPECT_FALSE(latch.WaitFor(1ms));
  std::thread sender([] { kill(getpid(), SIGUSR1); });
  EXPECT_TRUE(latch.WaitFor(30s));
  sender.join();
  pollfd descriptor{latch.descriptor(), POLLIN, 0};
  EXPECT_EQ(poll(&descriptor, 1, 0), 1);
  EXPECT_FALSE(latch.WaitFor(1ms, 1));
  raise(SIGUSR1);
  EXPECT_TRUE(latch.WaitFor(30s, 1));
  EXPECT_EQ(latch.count(), 2);
}

TEST(ShutdownLatchTest, FormerHandlersComeBack) {
  signal(SIGUSR2, SIG_IGN);
  {
    const ShutdownLatch latch({SIGUSR2});
  }
  raise(SIGUSR2);  // would end the program if it were not ignored again
  signal(SIGUSR2, SIG_DFL);
  ShutdownLatch latch({});
  EXPECT_FALSE(latch.requested());
  latch.Request();
  EXPECT_TRUE(latch.WaitFor(0ms));
}

TEST(ActorSystemTest, DeliversMessagesOnFewWorkers) {
  test::Promised<int> answer;
  ActorSystem actors;
  const auto adder = actors.get().spawn(
      [](caf::event_based_actor*) -> caf::behavior { return {[](int a, int b) { return a + b; }}; });
  caf::anon_send(adder, 1, 2);
  caf::scoped_actor self{actors.get()};
  self->request(adder, std::chrono::seconds(30), 40, 2)
      .receive([&](int sum) { answer.Set(sum); }, [](const caf::error&) { FAIL(); });
  EXPECT_EQ(answer.Wait(), 42);
}

}  // namespace
}  // namespace conclave::platform
