#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/tensor/aligned_vector.h"

namespace conclave::engine {

/// Activations in two 8-bit planes, about 15 bits: row 2t of `planes` holds token t's numbers in 8-bit
/// blocks, row 2t + 1 what that rounding left over, in blocks of its own. A matrix product with both rows,
/// added, is nearly that of float32. Used where 8 bits cost the most quality: the inputs of the query, key
/// and value projections and of the output head carry a few very large numbers (arXiv 2208.07339) beside
/// which the others vanish.
class PreciseRows {
 public:
  /// For [rows, columns] activations.
  void Resize(int64_t rows, int64_t columns);

  /// Quantises row `row` of them. Different rows may be done by different threads.
  void QuantiseRow(const float* x, int64_t row);

  const QuantisedRows& planes() const { return planes_; }

 private:
  QuantisedRows planes_;
  AlignedVector<float> rest_;  ///< [rows, columns]
};

/// out[t, r] = the product of weights' row r with token t of `x`, for r in [row_begin, row_end). `planes` is
/// working space of [2 * tokens, weights.rows()] numbers; calls for different rows may share it.
void PreciseMatmul(const PackedMatrix& weights, int64_t row_begin, int64_t row_end, const PreciseRows& x,
                   int64_t tokens, float* planes, float* out);

}  // namespace conclave::engine
