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

/// Which columns' products are gathered together: all of an input of up to `whole` columns, else blocks of
/// `width` neighbours.
struct ColumnGrouping {
  int64_t whole = 2048;
  int64_t width = 512;

  /// The bytes of the products of an input of so many columns.
  uint64_t Bytes(int64_t columns) const;
};

/// Working memory that inputs share.
struct ProductScratch {
  std::vector<float> transposed, products;
};

/// Gathers the products of activations of one input, part by part.
class InputStatistics {
 public:
  /// Adds rows [rows, columns]; the number of columns never changes.
  Status Add(const ActivationRows& rows, ColumnGrouping grouping, ThreadPool& pool, ProductScratch& scratch);

  /// What was gathered, handed over. Errors: INVALID_ARGUMENT (a product is not finite).
  Result<std::shared_ptr<const ColumnStatistics>> Take();

 private:
  static Status AddBlock(const ActivationRows& rows, ThreadPool& pool, ProductScratch& scratch,
                         ColumnBlock& block);

  int64_t rows_ = 0;
  ColumnStatistics sums_;
};

/// Gathers the statistics of every product of a forward pass. Costs about as much as the pass itself, and
/// memory for the products of every input that it sees (ColumnGrouping::Bytes).
class StatisticsGatherer final : public ActivationObserver {
 public:
  /// `pool`: the model's.
  StatisticsGatherer(ThreadPool& pool, ColumnGrouping grouping) : pool_(pool), grouping_(grouping) {}

  void Observe(ProductInput input, int64_t layer, const ActivationRows& rows) override;

  /// Hands over what was gathered; nullptr for an input that was never seen. Errors: those of
  /// InputStatistics.
  Result<std::shared_ptr<const ColumnStatistics>> Take(ProductInput input, int64_t layer);

 private:
  ThreadPool& pool_;
  const ColumnGrouping grouping_;
  ProductScratch scratch_;
  std::map<std::pair<ProductInput, int64_t>, InputStatistics> inputs_;
  Status failure_;  ///< the first one
};

}  // namespace conclave::engine
