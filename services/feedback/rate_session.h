#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "platform/rpc/server_call.h"
#include "services/feedback/feedback_desk.h"

namespace conclave::feedback {

/// One RateStream: at most kMaxStreamInFlight ratings at a time, answered in the order in which they came.
/// While as many are unanswered, or the client does not take its answers, no more is read. It lives as long
/// as its stream and its unanswered ratings.
class RateSession : public std::enable_shared_from_this<RateSession> {
 public:
  using Stream = platform::BidiServerStream<v1::RateStreamRequest, v1::RateStreamResponse>;

  /// Serves `stream` for `tenant`. `desk` must outlive the stream and its ratings.
  static void Serve(std::shared_ptr<Stream> stream, FeedbackDesk& desk, std::string tenant);

  RateSession(std::shared_ptr<Stream> stream, FeedbackDesk& desk, std::string tenant)
      : stream_(std::move(stream)), desk_(desk), tenant_(std::move(tenant)) {}

 private:
  struct Slot {
    v1::RateStreamResponse response;
    bool answered = false;
  };

  void OnRating(const v1::RateStreamRequest& request);
  void OnHalfClose();
  void OnAnswer(Slot& slot, const Result<v1::RateResponse>& result);
  void AdvanceLocked();

  const std::shared_ptr<Stream> stream_;
  FeedbackDesk& desk_;
  const std::string tenant_;
  std::mutex mutex_;
  std::deque<std::shared_ptr<Slot>> slots_;  // guarded by mutex_; oldest first
  bool half_closed_ = false;                 // guarded by mutex_
};

}  // namespace conclave::feedback
