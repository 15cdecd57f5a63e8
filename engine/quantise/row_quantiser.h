#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/tensor/dtype.h"

namespace conclave::engine {

/// The largest magnitude a number may have that is quantised: then every scale fits half precision.
inline constexpr float kLargestWeight = 65504.0f;

/// Encodes rows of one matrix in a block format, so that the importance-weighted squared error of every block
/// is as small as the search finds. The same numbers give the same bytes on every machine. Immutable; any
/// thread may call.
class RowQuantiser {
 public:
  /// `importance` [columns]: what an error in each column costs, for example the mean square of the
  /// activations that it is multiplied with; at least 0, finite. Empty: not known. `dtype` is quantised and
  /// `columns` whole blocks of it.
  RowQuantiser(DType dtype, std::span<const float> importance, int64_t columns);

  /// Encodes `row` [columns], finite and within kLargestWeight, to RowBytes(dtype, columns) bytes.
  void Quantise(const float* row, std::byte* out) const;

 private:
  DType dtype_;
  int64_t columns_;
  std::vector<float> weights_;  ///< [columns]
};

}  // namespace conclave::engine
