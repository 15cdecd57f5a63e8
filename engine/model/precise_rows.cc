#include "engine/model/precise_rows.h"

namespace conclave::engine {

void PreciseRows::Resize(int64_t rows, int64_t columns) {
  planes_.Resize(2 * rows, columns);
  if (rest_.size() < static_cast<size_t>(rows * columns)) rest_.resize(rows * columns);
}

void PreciseRows::QuantiseRow(const float* x, int64_t row) {
  const Kernels& kernels = BestKernels();
  kernels.quantise_row(x, 2 * row, planes_);
  const int64_t first_block = 2 * row * planes_.blocks();
  const int8_t* q = planes_.q.data() + first_block * kActivationBlock;
  const float* scales = planes_.scales.data() + first_block;
  float* rest = rest_.data() + row * planes_.columns;
  for (int64_t i = 0; i < planes_.columns; ++i) {
    rest[i] = x[i] - scales[i / kActivationBlock] * static_cast<float>(q[i]);
  }
  kernels.quantise_row(rest, 2 * row + 1, planes_);
}

void PreciseMatmul(const PackedMatrix& weights, int64_t row_begin, int64_t row_end, const PreciseRows& x,
                   int64_t tokens, float* planes, float* out) {
  const int64_t rows = weights.rows();
  BestKernels().matmul(weights, row_begin, row_end, nullptr, 0, &x.planes(), 2 * tokens, planes, rows);
  for (int64_t token = 0; token < tokens; ++token) {
    const float* main = planes + 2 * token * rows;
    const float* rest = main + rows;
    for (int64_t row = row_begin; row < row_end; ++row) out[token * rows + row] = main[row] + rest[row];
  }
}

}  // namespace conclave::engine
