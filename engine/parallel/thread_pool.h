#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "engine/parallel/processors.h"

namespace conclave::engine {

/// A fixed team of threads that meet for one parallel region at a time. The calling thread is member 0, so a
/// pool of `size` owns size - 1 threads. One thread at a time may call Run or ParallelFor, and no task may
/// call its own pool; both return when every member is done, and what the members wrote is then visible to
/// the caller. Tasks must not throw. Waiting members spin for some microseconds and then sleep, so an idle
/// pool costs nothing; a region costs about a microsecond while they spin. A pool with more members than
/// usable processors never spins.
class ThreadPool {
 public:
  /// `size` 0: one member for each processor this process may use (its affinity mask and cgroup quota), never
  /// more.
  /// `pin`: each of its own threads stays on one processor, in turn the second, third, and so on of those it
  /// may use; the caller's stays where the system puts it. Where the system refuses, they are not pinned.
  explicit ThreadPool(int size = 0, bool pin = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  /// Before each of the next `regions` regions every member lets threads that wait for its processor run
  /// first. A thread that wakes up beside a computing member may otherwise wait for the end of that member's
  /// slice of the processor, some milliseconds. Costs a system call a region and member, and where other
  /// programs compete, up to a slice of theirs.
  void YieldBefore(int regions);

  /// The members stop watching for the next region and sleep: for a caller that is about to wait for others
  /// who need the processors.
  void Rest();

  /// Runs `task(member)` once on each member, member in [0, size()).
  void Run(const std::function<void(int member)>& task);

  /// Splits [0, count) into contiguous parts whose bounds are multiples of `grain` (the last part may end
  /// elsewhere) and runs `task(begin, end)` on them, one part a member; members without a part do nothing. A
  /// single part runs on the caller alone.
  void ParallelFor(int64_t count, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& task);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace conclave::engine
