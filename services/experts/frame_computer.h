#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "conclave/v1/experts.pb.h"
#include "engine/model/feed_forward.h"
#include "engine/parallel/thread_pool.h"
#include "services/experts/exchange_frame.h"

namespace conclave::experts {

/// What one client's frames have in common.
struct ExchangeSession {
  uint64_t next_frame = 0;
};

/// Answers frames with what the shard's experts compute. Any thread may call; one frame is computed at a
/// time, on the calling thread and those of the pool.
class FrameComputer {
 public:
  FrameComputer(std::shared_ptr<engine::FeedForwardShard> shard, std::shared_ptr<engine::ThreadPool> pool,
                std::string model_hash);

  /// Waits for the frames of others. `response` may be that of an earlier frame, whose room is used again.
  /// Errors: INVALID_ARGUMENT, FAILED_PRECONDITION, DATA_LOSS: as the proto says for Exchange; the session is
  /// then over.
  Status Answer(ExchangeSession& session, const v1::ExchangeRequest& request, v1::ExchangeResponse& response);

  /// The same where it takes no longer than handing the frame to another thread would: nothing, where it
  /// would wait or compute for long.
  std::optional<Status> TryAnswer(ExchangeSession& session, const v1::ExchangeRequest& request,
                                  v1::ExchangeResponse& response);

 private:
  bool Quick(const v1::ExchangeRequest& request) const;
  Status Check(const ExchangeSession& session, const v1::ExchangeRequest& request) const;
  Status Compute(ExchangeSession& session, const v1::ExchangeRequest& request,
                 v1::ExchangeResponse& response);

  const std::shared_ptr<engine::FeedForwardShard> shard_;
  const std::shared_ptr<engine::ThreadPool> pool_;
  const std::string model_hash_;
  const int64_t most_multiplications_;  ///< of a token in one expert
  std::mutex mutex_;
  FrameInput frame_;  // guarded by mutex_
};

}  // namespace conclave::experts
