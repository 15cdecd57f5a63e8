#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "engine/parallel/thread_pool.h"

namespace conclave::engine {

/// What choosing a token asks of a row of logits, whatever the parameters.
struct LogitsSummary {
  int32_t best = -1;  ///< as ArgMax
  /// log(sum(exp(logits))): exponentials in float32, their sum in float64. Known when the best one is finite.
  double log_sum = -std::numeric_limits<double>::infinity();
};

/// The same for each of `rows` of `logits` [.., vocabulary], made by all of the pool's threads, also when
/// there is but one row. A summary depends on its row alone.
std::vector<LogitsSummary> SummariseRows(const float* logits, int64_t vocabulary,
                                         std::span<const int64_t> rows, ThreadPool& pool);

LogitsSummary Summarise(std::span<const float> logits);

}  // namespace conclave::engine
