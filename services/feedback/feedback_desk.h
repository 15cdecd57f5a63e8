#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "platform/metrics/metrics.h"
#include "services/feedback/change_queue.h"
#include "services/feedback/vote_token.h"

namespace conclave::feedback {

/// Milliseconds since 1970. It may jump: nothing but the age of tokens and the times kept with ratings depend
/// on it.
using Clock = std::function<int64_t()>;

/// The system's clock.
int64_t SystemNowMs();

/// Takes ratings and answers in: checks and signs what needs no disk, queues the rest, counts. Any thread may
/// call; every callback runs exactly once, on any thread, and must not block.
class FeedbackDesk {
 public:
  /// `queue` and `metrics` must outlive this.
  FeedbackDesk(VoteTokenSigner signer, ChangeQueue& queue, platform::Metrics& metrics, Clock clock);

  /// Rates as `tenant`. The callback has a rating_id exactly when the rating is on disk.
  void Rate(const v1::RateRequest& rating, const std::string& tenant,
            std::function<void(Result<v1::RateResponse>)> done, std::function<bool()> abandoned);

  /// Stores an answer, whose tenant is set. The callback has its vote token exactly when the answer is on
  /// disk.
  void Record(v1::RecordRequest record, std::function<void(Result<v1::RecordResponse>)> done,
              std::function<bool()> abandoned);

 private:
  void CountRefused(const char* what, const Status& status);

  const VoteTokenSigner signer_;
  ChangeQueue& queue_;
  platform::Metrics& metrics_;
  const Clock clock_;
  std::map<v1::Vote::VoteCase, prometheus::Counter*> ratings_;
  prometheus::Counter& records_;
};

}  // namespace conclave::feedback
