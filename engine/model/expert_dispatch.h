#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/expert_layout.h"
#include "engine/model/feed_forward_shard.h"
#include "engine/model/routing.h"
#include "engine/parallel/thread_pool.h"

namespace conclave::engine {

/// Turns a step's tokens into the work of experts, and the experts' outputs into the layer's. Outputs are
/// added in the order of the experts' numbers in float32, so that the sum depends neither on where an expert
/// lives nor on which tokens share a step. Reused from layer to layer; used by one thread at a time.
class ExpertDispatch {
 public:
  /// Orders the tokens by expert. `routing` is nullptr where the layer is dense; else it must outlive the
  /// plan.
  void Plan(const LayerExperts& experts, int64_t tokens, const Routing* routing);

  /// What is to be computed, ascending by expert; valid until the next Plan.
  std::span<const ExpertWork> work() const { return work_; }
  /// The sum of the work's tokens.
  int64_t rows() const { return rows_; }

  /// Adds up each token's outputs, weighted as it was routed, and adds the sum to `residual`
  /// [tokens, hidden]. `outputs` [rows, hidden]: of the work, in its order.
  void AddTo(const float* outputs, int64_t hidden, ThreadPool& pool, float* residual) const;

 private:
  void AddToken(const float* outputs, int64_t token, int64_t begin, int64_t end, int64_t hidden,
                float* residual) const;

  LayerExperts experts_;
  int64_t tokens_ = 0;
  const Routing* routing_ = nullptr;
  int64_t rows_ = 0;
  std::vector<ExpertWork> work_;
  std::vector<int32_t> token_rows_;   ///< the input's rows, expert by expert
  std::vector<int64_t> output_rows_;  ///< [tokens, per_token]: where each chosen expert's output is
  std::vector<int64_t> first_rows_;   ///< scratch: [routed + 1]
};

}  // namespace conclave::engine
