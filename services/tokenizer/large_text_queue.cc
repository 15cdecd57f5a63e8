#include "services/tokenizer/large_text_queue.h"

#include <utility>

#include "services/tokenizer/limits.h"

namespace conclave::tokenizer {

LargeTextQueue::LargeTextQueue(std::function<void(size_t)> waiting_changed)
    : waiting_changed_(std::move(waiting_changed)), thread_([this] { Run(); }) {}

LargeTextQueue::~LargeTextQueue() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Status LargeTextQueue::Post(size_t text_bytes, std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    if (waiting_bytes_ + text_bytes > kMaxQueuedTextBytes) {
      return ResourceExhausted("too many large texts wait to be encoded; try again later")
          .WithRetryAfterMs(kQueueFullRetryMs);
    }
    items_.push_back({text_bytes, std::move(work)});
    waiting_bytes_ += text_bytes;
    waiting_changed_(waiting_bytes_);
  }
  changed_.notify_all();
  return Status::Ok();
}

bool LargeTextQueue::idle() const {
  std::lock_guard lock(mutex_);
  return items_.empty() && !running_;
}

void LargeTextQueue::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !items_.empty(); });
    if (stopping_) return;
    Item item = std::move(items_.front());
    items_.pop_front();
    running_ = true;
    lock.unlock();
    item.work();
    item.work = nullptr;
    lock.lock();
    running_ = false;
    waiting_bytes_ -= item.bytes;
    waiting_changed_(waiting_bytes_);
  }
}

}  // namespace conclave::tokenizer
