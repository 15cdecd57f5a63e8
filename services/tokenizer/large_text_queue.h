#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "base/status.h"

namespace conclave::tokenizer {

/// A thread for texts that take too long for the thread that received them; one text at a time, in order.
/// Bounded by bytes. Any thread may call.
class LargeTextQueue {
 public:
  /// `waiting_changed(bytes)` is called, under a lock, whenever what waits has changed.
  explicit LargeTextQueue(std::function<void(size_t)> waiting_changed);
  /// Drops what waits and waits for the work in hand.
  ~LargeTextQueue();
  LargeTextQueue(const LargeTextQueue&) = delete;

  /// Runs `work`, which must not throw, on the thread. Errors: RESOURCE_EXHAUSTED (kMaxQueuedTextBytes wait).
  Status Post(size_t text_bytes, std::function<void()> work);

  /// Nothing waits or runs.
  bool idle() const;

 private:
  struct Item {
    size_t bytes;
    std::function<void()> work;
  };

  void Run();

  const std::function<void(size_t)> waiting_changed_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;    // Guarded by mutex_, as all below.
  size_t waiting_bytes_ = 0;  // What is in hand included.
  bool running_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace conclave::tokenizer
