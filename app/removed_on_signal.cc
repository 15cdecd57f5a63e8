#include "app/removed_on_signal.h"

#include <atomic>
#include <cstring>

#include <unistd.h>

namespace conclave::app {
namespace {

/// Written before the handlers are set, read by them: a handler may not touch a std::string.
char path_to_remove[4096];
static_assert(std::atomic<bool>::is_always_lock_free);
std::atomic<bool> has_path{false};

/// Set with SA_RESETHAND: raising the signal again ends the process by it.
extern "C" void RemoveAndEnd(int number) {
  if (has_path) ::unlink(path_to_remove);
  ::raise(number);
}

}  // namespace

RemovedOnSignal::RemovedOnSignal(const std::string& path) {
  // A longer path cannot be opened either.
  if (path.size() < sizeof path_to_remove) {
    std::memcpy(path_to_remove, path.c_str(), path.size() + 1);
    has_path = true;
  }
  struct sigaction handler = {};
  handler.sa_handler = RemoveAndEnd;
  handler.sa_flags = static_cast<int>(SA_RESETHAND);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &previous_[i]);
    if (previous_[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &handler, nullptr);
  }
}

RemovedOnSignal::~RemovedOnSignal() {
  has_path = false;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous_[i], nullptr);
}

}  // namespace conclave::app
