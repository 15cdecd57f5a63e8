#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "base/result.h"
#include "engine/model/expert_dispatch.h"
#include "engine/model/feed_forward.h"
#include "services/decoder/expert_home.h"

namespace conclave::decoder {

/// Feed-forward layers whose experts live in other processes, each in one or several. All shards are asked
/// before the first answer is waited for. What a shard that broke, is late or answers wrongly was to compute
/// goes to another one where the expert lives too, or to the same one again until the layer's deadline: work
/// can be computed any number of times. Used by one thread at a time.
class RemoteFeedForward final : public engine::FeedForward {
 public:
  RemoteFeedForward(std::vector<std::unique_ptr<ExpertLink>> links, ShardExpectation expected);

  Status AddTo(int64_t layer, const engine::FeedForwardInput& input, engine::ThreadPool& pool,
               float* residual) override;

 private:
  using Clock = std::chrono::steady_clock;

  /// A layer on its way.
  struct Pass {
    int64_t layer = 0;
    const engine::FeedForwardInput& input;
    Clock::time_point deadline;
    std::vector<WorkShare> open;  ///< what no shard has
    Status failure;               ///< the last one
    int64_t late_shards = 0;
  };

  void Compute(Pass& pass);
  void LearnDue(Pass& pass);
  bool EveryExpertLives() const;
  void Assign(Pass& pass);
  void AskOnce(Pass& pass);
  void Note(Pass& pass, ExpertHome& home, const Status& status);
  bool Lives(const WorkShare& share, const ExpertHome* elsewhere_than) const;
  Clock::time_point DeadlineFor(const Pass& pass, const ExpertHome& home) const;
  bool WorthAnotherTry(const Pass& pass) const;
  static Status Reported(const Pass& pass);

  std::vector<ExpertHome> homes_;
  const ShardExpectation expected_;
  engine::ExpertDispatch dispatch_;
  std::vector<float> outputs_;  ///< [rows of the dispatch, hidden]
};

}  // namespace conclave::decoder
