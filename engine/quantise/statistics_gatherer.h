#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/model/activation_observer.h"
#include "engine/parallel/thread_pool.h"
#include "engine/quantise/column_statistics.h"

namespace conclave::engine {

/// Gathers the products of activations of one input, part by part.
class InputStatistics {
 public:
  /// Adds rows [rows, columns]; the number of columns never changes.
  Status Add(const ActivationRows& rows, ThreadPool& pool);

  /// What was gathered. Errors: INVALID_ARGUMENT (a product is not finite).
  Result<std::shared_ptr<const ColumnStatistics>> Finish() const;

 private:
  Status AddBlock(const ActivationRows& rows, ThreadPool& pool, ColumnBlock& block);

  int64_t rows_ = 0;
  ColumnStatistics sums_;
  std::vector<float> transposed_, partial_;
};

/// Gathers the statistics of every product of a forward pass. Costs about as much as the pass itself, and
/// memory for [columns, columns] floats an input (in blocks, where columns are many).
class StatisticsGatherer final : public ActivationObserver {
 public:
  /// `pool`: the model's.
  explicit StatisticsGatherer(ThreadPool& pool) : pool_(pool) {}

  void Observe(ProductInput input, int64_t layer, const ActivationRows& rows) override;

  /// nullptr for an input that was never seen. Errors: those of InputStatistics.
  Result<std::shared_ptr<const ColumnStatistics>> Find(ProductInput input, int64_t layer) const;

 private:
  ThreadPool& pool_;
  std::map<std::pair<ProductInput, int64_t>, InputStatistics> inputs_;
  Status failure_;  ///< the first one
};

}  // namespace conclave::engine
