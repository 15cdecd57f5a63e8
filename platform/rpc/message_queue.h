#pragma once

#include <cstddef>
#include <deque>
#include <utility>

#include "platform/rpc/limits.h"

namespace conclave::platform {

/// What one direction of a stream may hold that the peer has not taken yet. One message always fits an empty
/// queue.
struct StreamOptions {
  size_t max_queued_messages = kDefaultQueuedMessages;
  size_t max_queued_bytes = kDefaultQueuedBytes;
};

namespace detail {

/// The messages that wait to be written, the one being written in front. Not thread-safe.
template <typename Message>
class MessageQueue {
 public:
  explicit MessageQueue(const StreamOptions& options) : options_(options) {}

  bool empty() const { return entries_.empty(); }
  const Message* front() const { return &entries_.front().message; }

  bool HasRoomFor(size_t bytes) const {
    if (entries_.empty()) return true;
    return entries_.size() < options_.max_queued_messages && bytes_ + bytes <= options_.max_queued_bytes;
  }

  /// `bytes` is what the message is counted as.
  void Push(Message message, size_t bytes) {
    entries_.push_back({std::move(message), bytes});
    bytes_ += bytes;
    if (!AtMost(2)) filled_ = true;
  }

  /// Back-pressure: from when either bound is more than half used until Emptied says otherwise.
  bool filled() const { return filled_; }
  /// Whether a filled queue is at most a quarter full again; it is no longer filled then.
  bool Emptied() { return AtMost(4) && std::exchange(filled_, false); }

  void PopFront() {
    bytes_ -= entries_.front().bytes;
    entries_.pop_front();
  }

  Message TakeFront() {
    Message message = std::move(entries_.front().message);
    PopFront();
    return message;
  }

  /// Drops all but the first `keep` messages.
  void DropAfter(size_t keep) {
    while (entries_.size() > keep) {
      bytes_ -= entries_.back().bytes;
      entries_.pop_back();
    }
  }

 private:
  /// Whether at most 1 / `part` of either bound is used.
  bool AtMost(size_t part) const {
    return entries_.size() <= options_.max_queued_messages / part &&
           bytes_ <= options_.max_queued_bytes / part;
  }

  struct Entry {
    Message message;
    size_t bytes;
  };
  StreamOptions options_;
  std::deque<Entry> entries_;  // a deque: push_back leaves the address of the message being written alone
  size_t bytes_ = 0;
  bool filled_ = false;
};

}  // namespace detail
}  // namespace conclave::platform
