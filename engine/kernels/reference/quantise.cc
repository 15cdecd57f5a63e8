#include <cmath>
#include <limits>

#include "engine/kernels/reference/reference.h"

namespace conclave::engine::reference {
namespace {

/// Quantises up to 32 numbers; the rest of `q` becomes 0. Returns the scale.
float QuantiseBlock(const float* x, int64_t n, int8_t* q) {
  float largest = 0.0f;
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) {
    finite = finite && std::isfinite(x[i]);
    largest = std::fmax(largest, std::fabs(x[i]));
  }
  for (int64_t i = 0; i < kActivationBlock; ++i) q[i] = 0;
  if (!finite) return std::numeric_limits<float>::quiet_NaN();
  const float scale = largest / 127.0f;
  if (scale < std::numeric_limits<float>::min()) return 0.0f;
  const float inverse = 1.0f / scale;
  for (int64_t i = 0; i < n; ++i) q[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
  return scale;
}

}  // namespace

void QuantiseRow(const engine::QuantiseRow& row) {
  const int64_t blocks = (row.columns + kActivationBlock - 1) / kActivationBlock;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t first = block * kActivationBlock;
    const int64_t n = row.columns - first < kActivationBlock ? row.columns - first : kActivationBlock;
    int8_t* q = row.q + first;
    row.scales[block] = QuantiseBlock(row.x + first, n, q);
    int32_t halves[2] = {0, 0};
    for (int64_t i = 0; i < kActivationBlock; ++i) halves[i / 16] += q[i];
    row.half_sums[block * 2] = halves[0];
    row.half_sums[block * 2 + 1] = halves[1];
    row.sums[block] = row.scales[block] * static_cast<float>(halves[0] + halves[1]);
  }
}

}  // namespace conclave::engine::reference
