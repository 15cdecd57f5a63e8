#include "engine/kernels/kernels.h"

namespace conclave::engine {

void QuantisedRows::Resize(int64_t new_rows, int64_t new_columns) {
  rows = new_rows;
  columns = new_columns;
  const auto count = static_cast<size_t>(rows * blocks());
  q.resize(count * kActivationBlock);
  scales.resize(count);
  sums.resize(count);
  half_sums.resize(count * 2);
}

void QuantisedRows::SumRow(int64_t row) {
  constexpr int64_t kHalf = kActivationBlock / 2;
  for (int64_t block = row * blocks(); block < (row + 1) * blocks(); ++block) {
    for (int64_t half = 0; half < 2; ++half) {
      int32_t sum = 0;
      for (int64_t i = 0; i < kHalf; ++i) sum += q[block * kActivationBlock + half * kHalf + i];
      half_sums[block * 2 + half] = sum;
    }
    sums[block] = scales[block] * static_cast<float>(half_sums[block * 2] + half_sums[block * 2 + 1]);
  }
}

}  // namespace conclave::engine
