#include "app/interrupts.h"

#include <csignal>
#include <cstdint>
#include <mutex>
#include <thread>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

namespace conclave::app {
namespace {

int wake_fd = -1;

extern "C" void OnSigint(int) {
  const uint64_t one = 1;
  (void)!write(wake_fd, &one, sizeof(one));
}

void MaskSigint(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  pthread_sigmask(how, &set, nullptr);
}

}  // namespace

struct Interrupts::State {
  std::mutex mutex;
  std::function<void()> action;  // guarded by mutex
  bool stopping = false;         // guarded by mutex
  struct sigaction previous = {};
  std::thread watcher;

  void Watch() {
    uint64_t count = 0;
    while (read(wake_fd, &count, sizeof(count)) == sizeof(count)) {
      std::lock_guard lock(mutex);
      if (stopping) return;
      if (action) action();
    }
  }
};

Interrupts::Interrupts() : state_(std::make_unique<State>()) {
  wake_fd = eventfd(0, EFD_CLOEXEC);
  MaskSigint(SIG_BLOCK);
  struct sigaction handler = {};
  handler.sa_handler = OnSigint;  // Without SA_RESTART: a read of the terminal returns.
  sigaction(SIGINT, &handler, &state_->previous);
  state_->watcher = std::thread([this] { state_->Watch(); });
}

void Interrupts::Listen() { MaskSigint(SIG_UNBLOCK); }

void Interrupts::SetAction(std::function<void()> action) {
  std::lock_guard lock(state_->mutex);
  state_->action = std::move(action);
}

Interrupts::~Interrupts() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  OnSigint(SIGINT);
  state_->watcher.join();
  sigaction(SIGINT, &state_->previous, nullptr);
  close(wake_fd);
}

}  // namespace conclave::app
