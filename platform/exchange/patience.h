#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace conclave::platform {

/// How long a thread that waits for another one, or another process, looks again and again before it sleeps:
/// waking up costs tens of microseconds, looking costs a processor. Where waits are usually short they are
/// watched, where they are usually long they are slept through. While it looks, a thread lets others that
/// want its processor run first. One thread.
class Patience {
 public:
  using Clock = std::chrono::steady_clock;

  /// A wait begins.
  void Begin() { start_ = Clock::now(); }

  /// True: `ready()` became true. False: it is time to sleep.
  template <typename Ready>
  bool Watch(Ready ready) const {
    const auto end = start_ + Limit();
    do {
      for (int look = 0; look < kLooks; ++look) {
        if (ready()) return true;
        Pause();
      }
      std::this_thread::yield();
    } while (Clock::now() < end);
    return ready();
  }

  /// The wait is over.
  void End() {
    const auto took = std::min<Clock::duration>(Clock::now() - start_, 4 * kWorthWatching);
    usual_ += (took - usual_) / 8;
  }

 private:
  /// Where the usual wait is longer, watching costs more than it saves.
  static constexpr std::chrono::microseconds kWorthWatching{400};
  /// Every wait is watched for this long: the other side may just be writing.
  static constexpr std::chrono::microseconds kLeast{5};
  /// Looks between two readings of the clock.
  static constexpr int kLooks = 64;

  Clock::duration Limit() const {
    return usual_ < Clock::duration(kWorthWatching) ? 3 * usual_ + kLeast : Clock::duration(kLeast);
  }

  static void Pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  Clock::time_point start_{};
  Clock::duration usual_{};
};

}  // namespace conclave::platform
