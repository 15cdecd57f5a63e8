#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "base/status.h"
#include "services/decoder/limits.h"
#include "services/decoder/sequence.h"

namespace conclave::decoder {

/// The requests that wait for their place, in the order they came; all that can be known to be wrong with one
/// is found before it waits. Used by one thread at a time.
class RequestQueue {
 public:
  using Iterator = std::deque<SequenceRequest>::iterator;
  using Cancelled = std::pair<std::shared_ptr<EventSink>, SequenceEvent>;
  /// Whether a stream has a running sequence of that id.
  using IsRunning = std::function<bool(const EventSink* sink, uint64_t id)>;

  /// `total_blocks`: of the key-value cache. `vocabulary` and `context` are the model's.
  RequestQueue(const DecoderLimits& limits, int64_t total_blocks, int64_t vocabulary, int64_t context)
      : limits_(limits), total_blocks_(total_blocks), vocabulary_(vocabulary), context_(context) {}

  /// Errors: those of Scheduler::Admit.
  Status Add(SequenceRequest request, const IsRunning& is_running);
  /// Takes one answer out, and the request with its last one: whom to tell what; nothing when it does not
  /// wait.
  std::optional<Cancelled> Cancel(const EventSink* sink, uint64_t id);
  /// Takes out all of a stream's.
  void CancelAll(const EventSink* sink);

  bool empty() const { return queue_.empty(); }
  Iterator begin() { return queue_.begin(); }
  Iterator end() { return queue_.end(); }
  /// Takes out a request whose turn has come; `next` goes on to the one behind it.
  SequenceRequest Take(Iterator& next);
  void AddStreams(std::set<std::shared_ptr<EventSink>>& streams) const;

  int64_t sequences() const { return sequences_; }
  int64_t tokens() const { return tokens_; }

 private:
  Status Check(SequenceRequest& request) const;
  Status CheckAnswers(const SequenceRequest& request) const;
  Status CheckIds(const SequenceRequest& request, const IsRunning& is_running) const;
  void Count(const SequenceRequest& request, int64_t sign);

  DecoderLimits limits_;
  int64_t total_blocks_;
  int64_t vocabulary_;
  int64_t context_;
  std::deque<SequenceRequest> queue_;
  int64_t sequences_ = 0;
  int64_t tokens_ = 0;
};

}  // namespace conclave::decoder
