#include "engine/parallel/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace conclave::engine {
namespace {

/// Longer than the serial work between two regions of a decode step, shorter than waking a sleeping thread.
constexpr std::chrono::microseconds kSpinTime{30};
constexpr int kPausesPerClockRead = 32;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

/// A counter on which one side waits for the other to change it: first spinning, then asleep.
class Signal {
 public:
  uint32_t Load() const { return value_.load(std::memory_order_acquire); }

  /// Sequentially consistent, as Wait's counting of sleepers: either the sleeper sees the new value, or Set
  /// sees it.
  void Set(uint32_t value) {
    value_.store(value, std::memory_order_seq_cst);
    WakeSleepers();
  }

  /// Counts down; returns after the change is visible.
  void Decrement() {
    value_.fetch_sub(1, std::memory_order_seq_cst);
    WakeSleepers();
  }

  /// Spins while `spin` says so.
  template <typename Ready>
  uint32_t Wait(Ready ready, const std::atomic<bool>& spin) {
    if (Spin(ready, spin)) return Load();
    std::unique_lock lock(mutex_);
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    changed_.wait(lock, [&] { return ready(value_.load(std::memory_order_seq_cst)); });
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
    return Load();
  }

 private:
  template <typename Ready>
  bool Spin(Ready ready, const std::atomic<bool>& spin) const {
    if (ready(Load())) return true;
    const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
    do {
      if (!spin.load(std::memory_order_relaxed)) return false;
      for (int i = 0; i < kPausesPerClockRead; ++i) {
        if (ready(Load())) return true;
        Pause();
      }
    } while (std::chrono::steady_clock::now() < deadline);
    return false;
  }

  void WakeSleepers() {
    if (sleepers_.load(std::memory_order_seq_cst) == 0) return;
    std::lock_guard lock(mutex_);
    changed_.notify_all();
  }

  alignas(64) std::atomic<uint32_t> value_{0};
  std::atomic<int> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

/// A task without std::function's allocation.
struct Region {
  void (*call)(const void* context, int member) = nullptr;
  const void* context = nullptr;
  bool yield = false;

  void Run(int member) const {
    if (yield) std::this_thread::yield();
    call(context, member);
  }
};

}  // namespace

struct ThreadPool::State {
  int size = 1;
  bool may_spin = true;           ///< There is a processor for each member.
  std::atomic<bool> spin = true;  ///< And nobody else needs it now.
  Signal epoch;                   ///< Changes when `region` or `stopping` was set.
  Signal pending;                 ///< Other members that are not done with the region.
  Region region;                  // written before `epoch`, read after it
  bool stopping = false;          // likewise
  int yields = 0;                 ///< Regions left to yield before; the caller's.
  std::vector<std::thread> threads;

  void Work(int member) {
    uint32_t seen = 0;
    while (true) {
      seen = epoch.Wait([seen](uint32_t now) { return now != seen; }, spin);
      if (stopping) return;
      region.Run(member);
      pending.Decrement();
    }
  }

  void Meet(Region next) {
    next.yield = yields > 0;
    if (next.yield) --yields;
    if (size == 1) return next.Run(0);
    spin.store(may_spin, std::memory_order_relaxed);
    region = next;
    pending.Set(static_cast<uint32_t>(size - 1));
    epoch.Set(epoch.Load() + 1);
    next.Run(0);
    pending.Wait([](uint32_t left) { return left == 0; }, spin);
  }
};

ThreadPool::ThreadPool(int size, bool pin) : state_(std::make_unique<State>()) {
  const int usable = UsableProcessors();
  state_->size = size > 0 ? size : usable;
  state_->may_spin = state_->size <= usable;
  state_->spin = state_->may_spin;
  const std::vector<int> processors = pin ? AffinityProcessors() : std::vector<int>();
  try {
    for (int member = 1; member < state_->size; ++member) {
      state_->threads.emplace_back([state = state_.get(), member] { state->Work(member); });
      if (!processors.empty()) PinThread(state_->threads.back(), processors[member % processors.size()]);
    }
  } catch (const std::system_error&) {
    // The system gives no more threads: the pool is as large as it could be made.
    state_->size = static_cast<int>(state_->threads.size()) + 1;
  }
}

ThreadPool::~ThreadPool() {
  state_->stopping = true;
  state_->epoch.Set(state_->epoch.Load() + 1);
  for (std::thread& thread : state_->threads) thread.join();
}

int ThreadPool::size() const { return state_->size; }

void ThreadPool::YieldBefore(int regions) { state_->yields = regions; }

void ThreadPool::Rest() { state_->spin.store(false, std::memory_order_relaxed); }

void ThreadPool::Run(const std::function<void(int)>& task) {
  state_->Meet({.call = [](const void* context,
                           int member) { (*static_cast<const std::function<void(int)>*>(context))(member); },
                .context = &task});
}

void ThreadPool::ParallelFor(int64_t count, int64_t grain,
                             const std::function<void(int64_t, int64_t)>& task) {
  if (count <= 0) return;
  struct Split {
    int64_t count, grain, units, parts;
    const std::function<void(int64_t, int64_t)>* task;
  };
  const int64_t step = std::max<int64_t>(1, grain);
  const int64_t units = (count - 1) / step + 1;
  const Split split{count, step, units, std::min<int64_t>(units, state_->size), &task};
  if (split.parts == 1) return task(0, count);
  const auto run_part = [](const void* context, int member) {
    const Split& s = *static_cast<const Split*>(context);
    if (member >= s.parts) return;
    // The first `extra` parts have one unit more.
    const int64_t each = s.units / s.parts;
    const int64_t extra = s.units % s.parts;
    const int64_t first = member * each + std::min<int64_t>(member, extra);
    const int64_t last = first + each + (member < extra ? 1 : 0);
    (*s.task)(first* s.grain, last == s.units ? s.count : last * s.grain);
  };
  state_->Meet({.call = run_part, .context = &split});
}

}  // namespace conclave::engine
