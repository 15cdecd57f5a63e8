#include "services/decoder/step_runner.h"

#include <utility>

namespace conclave::decoder {

StepRunner::StepRunner(std::unique_ptr<engine::Transformer> model,
                       std::unique_ptr<engine::FeedForward> feed_forward,
                       std::shared_ptr<engine::ThreadPool> pool)
    : model_(std::move(model)), feed_forward_(std::move(feed_forward)), pool_(std::move(pool)) {}

bool StepRunner::RunStep(Scheduler& scheduler, const std::function<Clock::time_point()>& now) {
  const auto steps = scheduler.Plan(now());
  if (steps.empty()) return false;
  const std::vector<Sequence*>& sequences = scheduler.sampled_sequences();
  const int64_t vocabulary = architecture().vocabulary;
  const auto rows = static_cast<int64_t>(sequences.size());
  if (logits_.size() < static_cast<size_t>(rows * vocabulary)) logits_.resize(rows * vocabulary);

  const Status status = model_->Forward(steps, *feed_forward_, *pool_, logits_.data());
  if (!status.ok()) {
    scheduler.Fail(status);
    return true;
  }
  std::vector<Result<engine::SampledToken>> sampled(rows, engine::SampledToken{});
  pool_->ParallelFor(rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      sampled[row] =
          sequences[row]->sampler.Next({logits_.data() + row * vocabulary, static_cast<size_t>(vocabulary)});
    }
  });
  scheduler.Complete(std::move(sampled), now());
  return true;
}

}  // namespace conclave::decoder
