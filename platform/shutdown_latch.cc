#include "platform/shutdown_latch.h"

#include <atomic>
#include <cassert>
#include <cerrno>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

namespace conclave::platform {
namespace {

// What a signal handler may touch; static because a handler has no other way to it.
std::atomic<int> signal_count{0};
std::atomic<int> write_end{-1};
static_assert(std::atomic<int>::is_always_lock_free);

int read_end = -1;
std::vector<std::pair<int, struct sigaction>> former_handlers;

/// How often WaitFor looks for a further signal, once the pipe is readable for good.
constexpr std::chrono::milliseconds kPoll{10};

void NoteRequest() {
  ++signal_count;
  const char byte = 0;
  const int descriptor = write_end;
  if (descriptor >= 0) (void)!write(descriptor, &byte, 1);
}

void HandleSignal(int) {
  const int saved_errno = errno;
  NoteRequest();
  errno = saved_errno;
}

}  // namespace

ShutdownLatch::ShutdownLatch(std::initializer_list<int> signals) {
  assert(read_end < 0 && "only one ShutdownLatch at a time");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
    read_end = ends[0];
    write_end = ends[1];
  }
  signal_count = 0;
  struct sigaction action{};
  action.sa_handler = HandleSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : signals) {
    struct sigaction former{};
    if (sigaction(signal, &action, &former) == 0) former_handlers.emplace_back(signal, former);
  }
}

ShutdownLatch::~ShutdownLatch() {
  for (const auto& [signal, former] : former_handlers) sigaction(signal, &former, nullptr);
  former_handlers.clear();
  close(write_end.exchange(-1));
  close(std::exchange(read_end, -1));
}

int ShutdownLatch::count() const { return signal_count; }

void ShutdownLatch::Request() { NoteRequest(); }

bool ShutdownLatch::WaitFor(std::chrono::milliseconds timeout, int seen) const {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (signal_count <= seen) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    if (signal_count > 0) {
      std::this_thread::sleep_for(std::min(left, kPoll));
      continue;
    }
    pollfd descriptor{read_end, POLLIN, 0};
    poll(&descriptor, 1, static_cast<int>(std::min<int64_t>(left.count(), 60'000)));
  }
  return true;
}

void ShutdownLatch::Wait(int seen) const {
  while (!WaitFor(std::chrono::hours(1), seen)) {
  }
}

int ShutdownLatch::descriptor() const { return read_end; }

}  // namespace conclave::platform
