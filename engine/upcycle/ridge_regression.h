#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/parallel/thread_pool.h"

namespace conclave::engine {

/// Linear maps W [targets, inputs] without an offset that predict targets from the same inputs: the least of
/// the mean of |W x - y|^2 plus `strength` times the mean of x_i^2 times |W|^2 (Hoerl and Kennard 1970).
/// Products of up to 256 rows are added up in float32, all else in double. Immutable; used by one thread at a
/// time, which shares the work among a pool.
class RidgeRegression {
 public:
  /// `x` [rows, inputs] must outlive it. Holds inputs^2 numbers in double. Errors: FAILED_PRECONDITION (no
  /// rows; inputs that are all zero), INVALID_ARGUMENT (a number that is not finite).
  static Result<RidgeRegression> Create(std::span<const float> x, int64_t inputs, double strength,
                                        ThreadPool& pool);

  /// [targets, inputs], for `y` [rows, targets]. Errors: INVALID_ARGUMENT (a number that is not finite).
  Result<std::vector<float>> Fit(std::span<const float> y, int64_t targets, ThreadPool& pool) const;

 private:
  RidgeRegression(std::span<const float> x, int64_t inputs, std::vector<double> factor)
      : x_(x), inputs_(inputs), factor_(std::move(factor)) {}

  std::span<const float> x_;
  int64_t inputs_;
  std::vector<double> factor_;  ///< [inputs, inputs]: the lower half is Cholesky's
};

}  // namespace conclave::engine
