#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/kernels/reference/reference.h"
#include "engine/tensor/half.h"

namespace conclave::engine::reference {
namespace {

/// Number `i` of the key or value at `position`.
double Stored(const AttentionTask& task, const std::byte* const* blocks, int64_t position, int64_t i) {
  const std::byte* block = blocks[position / task.block_tokens];
  const int64_t at = position % task.block_tokens * task.head_dim + i;
  if (task.half_precision) {
    uint16_t half;
    std::memcpy(&half, block + at * 2, 2);
    return HalfToFloat(half);
  }
  float value;
  std::memcpy(&value, block + at * 4, 4);
  return value;
}

void AttendHead(const AttentionTask& task, const float* query, int64_t begin, int64_t end, float* out) {
  std::vector<double> weights(static_cast<size_t>(end - begin));
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t position = begin; position < end; ++position) {
    double dot = 0.0;
    for (int64_t i = 0; i < task.head_dim; ++i) dot += query[i] * Stored(task, task.key_blocks, position, i);
    weights[position - begin] = dot * task.scale;
    largest = std::fmax(largest, weights[position - begin]);
  }
  double total = 0.0;
  for (double& weight : weights) total += weight = std::exp(weight - largest);
  for (int64_t i = 0; i < task.head_dim; ++i) {
    double sum = 0.0;
    for (int64_t position = begin; position < end; ++position) {
      sum += weights[position - begin] * Stored(task, task.value_blocks, position, i);
    }
    out[i] = static_cast<float>(sum / total);
  }
}

}  // namespace

void Attention(const AttentionTask& task) {
  for (int64_t row = 0; row < task.query_rows; ++row) {
    const int64_t end = task.first_position + row + 1;
    const int64_t begin = task.window > 0 && end > task.window ? end - task.window : 0;
    for (int64_t head = 0; head < task.heads; ++head) {
      AttendHead(task, task.queries + row * task.query_stride + head * task.head_dim, begin, end,
                 task.out + row * task.out_stride + head * task.head_dim);
    }
  }
}

}  // namespace conclave::engine::reference
