#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/model/transformer.h"
#include "engine/parallel/thread_pool.h"
#include "services/decoder/scheduler.h"

namespace conclave::decoder {

/// Runs the steps that a Scheduler plans: the model's forward pass, then one sampled token a row of logits.
/// Used by one thread, which is member 0 of the pool.
class StepRunner {
 public:
  StepRunner(std::unique_ptr<engine::Transformer> model, std::unique_ptr<engine::FeedForward> feed_forward,
             std::shared_ptr<engine::ThreadPool> pool);

  const engine::Architecture& architecture() const { return model_->architecture(); }

  /// Plans, computes and completes one step; false when there was nothing to compute. A failure ends the
  /// step's sequences with its status.
  bool RunStep(Scheduler& scheduler, const std::function<Clock::time_point()>& now = &Clock::now);

 private:
  std::unique_ptr<engine::Transformer> model_;
  std::unique_ptr<engine::FeedForward> feed_forward_;
  std::shared_ptr<engine::ThreadPool> pool_;
  std::vector<float> logits_;
};

}  // namespace conclave::decoder
