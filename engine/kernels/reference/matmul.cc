#include <cmath>
#include <cstring>

#include "engine/kernels/reference/reference.h"
#include "engine/tensor/half.h"

namespace conclave::engine::reference {
namespace {

float LoadScale(const BlockFormat& format, const std::byte* run, int64_t lane) {
  if (format.float_scales) {
    float value;
    std::memcpy(&value, run + lane * 4, 4);
    return value;
  }
  uint16_t half;
  std::memcpy(&half, run + lane * 2, 2);
  return HalfToFloat(half);
}

int WeightQ(const BlockFormat& format, const std::byte* block, int64_t lane, int64_t column) {
  const auto* q = reinterpret_cast<const uint8_t*>(block);
  if (!format.nibbles) return q[column / 4 * 64 + lane * 4 + column % 4];
  const int byte = q[column / 8 * 64 + lane * 4 + column % 4];
  const int nibble = column % 8 < 4 ? byte & 0x0F : byte >> 4;
  return format.lookup ? kFp4Numbers[nibble] : nibble;
}

/// The integer dot product of columns [begin, end) of a block.
int32_t Dot(const BlockFormat& format, const std::byte* block, int64_t lane, const int8_t* x, int64_t begin,
            int64_t end) {
  int32_t sum = 0;
  for (int64_t i = begin; i < end; ++i) sum += (WeightQ(format, block, lane, i) - format.zero_point) * x[i];
  return sum;
}

float BlockRow(const BlockFormat& format, const BlockMatmul& task, const std::byte* group, int64_t lane,
               int64_t token) {
  float sum = 0.0f;
  for (int64_t at = 0; at < task.blocks; ++at) {
    const std::byte* block = group + at * format.bytes();
    const std::byte* scales = block + format.q_bytes();
    const std::byte* second = scales + format.scale_bytes();
    const int64_t x_block = token * task.blocks + at;
    const int8_t* x = task.q + x_block * kActivationBlock;
    const float x_scale = task.scales[x_block];
    const float scale = LoadScale(format, scales, lane);
    if (format.half_groups) {
      const float second_scale = LoadScale(format, second, lane);
      sum = std::fma(scale * x_scale, static_cast<float>(Dot(format, block, lane, x, 0, 16)), sum);
      sum = std::fma(second_scale * x_scale, static_cast<float>(Dot(format, block, lane, x, 16, 32)), sum);
    } else {
      sum = std::fma(scale * x_scale, static_cast<float>(Dot(format, block, lane, x, 0, 32)), sum);
    }
    if (format.offsets) sum = std::fma(LoadScale(format, second, lane), task.sums[x_block], sum);
  }
  return sum;
}

float LoadWeight(PackedKind kind, const std::byte* group, int64_t at) {
  if (kind == PackedKind::kF32) {
    float value;
    std::memcpy(&value, group + at * 4, 4);
    return value;
  }
  uint16_t word;
  std::memcpy(&word, group + at * 2, 2);
  return kind == PackedKind::kF16 ? HalfToFloat(word) : BrainToFloat(word);
}

}  // namespace

void MatmulBlocks(const BlockMatmul& task) {
  const BlockFormat& format = kBlockFormats[task.format];
  for (int64_t token = 0; token < task.tokens; ++token) {
    for (int64_t row = 0; row < task.rows; ++row) {
      const std::byte* group = task.weights + row / kRowGroup * task.group_bytes;
      task.out[token * task.out_stride + row] = BlockRow(format, task, group, row % kRowGroup, token);
    }
  }
}

void MatmulFloats(const FloatMatmul& task) {
  for (int64_t token = 0; token < task.tokens; ++token) {
    const float* x = task.x + token * task.x_stride;
    for (int64_t row = 0; row < task.rows; ++row) {
      const std::byte* group = task.weights + row / kRowGroup * task.group_bytes;
      float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
      for (int64_t column = 0; column < task.columns; ++column) {
        const float w = LoadWeight(task.kind, group, column * kRowGroup + row % kRowGroup);
        sums[column % 4] = std::fma(w, x[column], sums[column % 4]);
      }
      task.out[token * task.out_stride + row] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
  }
}

}  // namespace conclave::engine::reference
