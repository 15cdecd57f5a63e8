#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "engine/model/expert_dispatch.h"
#include "engine/model/feed_forward_shard.h"
#include "engine/parallel/thread_pool.h"
#include "engine/tensor/aligned_vector.h"

namespace conclave::engine {

/// Whatever computes a model's feed-forward layers: this process, or shards elsewhere.
class FeedForward {
 public:
  virtual ~FeedForward() = default;

  /// Adds the layer's output to `residual` [tokens, hidden], as ExpertDispatch adds. One call at a time.
  /// Errors: UNAVAILABLE, DEADLINE_EXCEEDED (an expert has no home); `residual` is then unchanged.
  virtual Status AddTo(int64_t layer, const FeedForwardInput& input, ThreadPool& pool, float* residual) = 0;
};

/// All experts here, by function call.
class LocalFeedForward : public FeedForward {
 public:
  explicit LocalFeedForward(std::shared_ptr<FeedForwardShard> shard) : shard_(std::move(shard)) {}
  Status AddTo(int64_t layer, const FeedForwardInput& input, ThreadPool& pool, float* residual) override;

 private:
  std::shared_ptr<FeedForwardShard> shard_;
  ExpertDispatch dispatch_;
  AlignedVector<float> outputs_;
};

}  // namespace conclave::engine
