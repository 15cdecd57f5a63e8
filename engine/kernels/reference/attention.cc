#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/kernels/half_rounding.h"
#include "engine/kernels/reference/reference.h"
#include "engine/tensor/half.h"

namespace conclave::engine::reference {
namespace {

/// Number `i` of the key or value at `position`.
double Stored(const AttentionTask& task, bool values, int64_t position, int64_t i) {
  const std::byte* const* blocks = values ? task.value_blocks : task.key_blocks;
  const int64_t width = values ? task.value_dim : task.head_dim;
  const std::byte* block = blocks[position / task.block_tokens];
  const int64_t token = position % task.block_tokens;
  if (task.format == KvFormat::kFloat32) {
    float value;
    std::memcpy(&value, block + (token * width + i) * 4, 4);
    return value;
  }
  const int64_t word = values ? token / 2 * width + i : i / 2 * task.block_tokens + token;
  uint16_t brain;
  std::memcpy(&brain, block + word * 4 + (values ? token : i) % 2 * 2, 2);
  return BrainToFloat(brain);
}

/// Number `i` of a query as the tuned sets read it.
double Query(const AttentionTask& task, const float* query, int64_t i) {
  return task.format == KvFormat::kBrainPairs ? BrainToFloat(FloatToBrain(query[i])) : query[i];
}

void AttendHead(const AttentionTask& task, int64_t head, const float* query, int64_t begin, int64_t end,
                float* out) {
  std::vector<double> weights(static_cast<size_t>(end - begin));
  const double sink =
      task.sinks == nullptr ? -std::numeric_limits<double>::infinity() : double{task.sinks[head]};
  double largest = sink;
  for (int64_t position = begin; position < end; ++position) {
    double dot = 0.0;
    for (int64_t i = 0; i < task.head_dim; ++i) {
      dot += Query(task, query, i) * Stored(task, false, position, i);
    }
    weights[position - begin] = dot * task.scale;
    largest = std::fmax(largest, weights[position - begin]);
  }
  double total = task.sinks == nullptr ? 0.0 : std::exp(sink - largest);
  for (double& weight : weights) total += weight = std::exp(weight - largest);
  for (int64_t i = 0; i < task.value_dim; ++i) {
    double sum = 0.0;
    for (int64_t position = begin; position < end; ++position) {
      sum += weights[position - begin] * Stored(task, true, position, i);
    }
    out[i] = static_cast<float>(sum / total);
  }
}

}  // namespace

void Attention(const AttentionTask& task) {
  if (task.format == KvFormat::kInt8) return Int8Attention(task);
  for (int64_t row = 0; row < task.query_rows; ++row) {
    const int64_t end = task.first_position + row + 1;
    const int64_t begin = task.window > 0 && end > task.window ? end - task.window : 0;
    for (int64_t head = 0; head < task.heads; ++head) {
      AttendHead(task, head, task.queries + row * task.query_stride + head * task.head_dim, begin, end,
                 task.out + row * task.out_stride + head * task.value_dim);
    }
  }
}

}  // namespace conclave::engine::reference
