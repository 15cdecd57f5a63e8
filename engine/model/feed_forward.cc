#include "engine/model/feed_forward.h"

#include "engine/model/step_work.h"

namespace conclave::engine {

Status LocalFeedForward::AddTo(int64_t layer, const FeedForwardInput& input, ThreadPool& pool,
                               float* residual) {
  const int64_t hidden = shard_->hidden();
  dispatch_.Plan(shard_->shape(layer), input.tokens, input.routing);
  Grow(outputs_, dispatch_.rows() * hidden);
  shard_->Compute(layer, input, dispatch_.work(), pool, outputs_.data());
  dispatch_.AddTo(outputs_.data(), hidden, pool, residual);
  return Status::Ok();
}

}  // namespace conclave::engine
