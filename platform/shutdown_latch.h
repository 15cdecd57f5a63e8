#pragma once

#include <chrono>
#include <initializer_list>

namespace conclave::platform {

/// Turns signals such as SIGTERM and SIGINT into something that a thread can wait for. The handler only
/// counts and writes one byte to a pipe. At most one may exist at a time; the former handlers come back with
/// its destruction.
class ShutdownLatch {
 public:
  explicit ShutdownLatch(std::initializer_list<int> signals);
  ~ShutdownLatch();
  ShutdownLatch(const ShutdownLatch&) = delete;

  /// How many of the signals, and calls of Request, there have been: a second one is a reason to stop waiting
  /// for the first one's work.
  int count() const;
  bool requested() const { return count() > 0; }

  /// As if a signal had come. Any thread.
  void Request();

  /// Waits until count() exceeds `seen`; false when `timeout` passes first.
  bool WaitFor(std::chrono::milliseconds timeout, int seen = 0) const;
  void Wait(int seen = 0) const;

  /// Readable once requested, for poll(2). Nobody may read from it.
  int descriptor() const;
};

}  // namespace conclave::platform
