#pragma once

#include <cstdint>

#include "engine/kernels/raw_kernels.h"

// matmul over float weights for any vector type V. Contract: Kernels::matmul.
namespace conclave::engine {

/// How each kind of float weight is read: `kBytes` a number.
template <typename V>
struct F32Weights {
  static constexpr int kBytes = 4;
  static typename V::Floats Load(const std::byte* p) { return V::Load(reinterpret_cast<const float*>(p)); }
};

template <typename V>
struct F16Weights {
  static constexpr int kBytes = 2;
  static typename V::Floats Load(const std::byte* p) {
    return V::LoadHalf(reinterpret_cast<const uint16_t*>(p));
  }
};

template <typename V>
struct BF16Weights {
  static constexpr int kBytes = 2;
  static typename V::Floats Load(const std::byte* p) {
    return V::LoadBrain(reinterpret_cast<const uint16_t*>(p));
  }
};

/// One group of rows times kTokens tokens, `x` and `out` at the first of them. A row group is kVectors
/// vectors wide.
template <typename V, typename Weights, int kTokens>
inline void FloatTile(const FloatMatmul& task, const std::byte* group, int64_t rows, const float* x,
                      float* out) {
  constexpr int kVectors = kRowGroup / V::kLanes;
  constexpr int kChains = 4;
  typename V::Floats sum[kTokens][kChains][kVectors];
  for (int t = 0; t < kTokens; ++t) {
    for (int c = 0; c < kChains; ++c) {
      for (int v = 0; v < kVectors; ++v) sum[t][c][v] = V::Zero();
    }
  }
  const auto add = [&](int64_t column, int chain) __attribute__((always_inline)) {
    for (int v = 0; v < kVectors; ++v) {
      const auto w = Weights::Load(group + (column * kRowGroup + v * V::kLanes) * Weights::kBytes);
      for (int t = 0; t < kTokens; ++t) {
        sum[t][chain][v] = V::Fma(w, V::Set(x[t * task.x_stride + column]), sum[t][chain][v]);
      }
    }
  };
  int64_t column = 0;
  for (; column + kChains <= task.columns; column += kChains) {
    for (int c = 0; c < kChains; ++c) add(column + c, c);
  }
  if (column < task.columns) add(column, 0);
  if (column + 1 < task.columns) add(column + 1, 1);
  if (column + 2 < task.columns) add(column + 2, 2);
  for (int t = 0; t < kTokens; ++t) {
    for (int v = 0; v < kVectors; ++v) {
      const auto total = V::Add(V::Add(sum[t][0][v], sum[t][1][v]), V::Add(sum[t][2][v], sum[t][3][v]));
      const int64_t left = rows - v * V::kLanes;
      float* at = out + t * task.out_stride + v * V::kLanes;
      if (left >= V::kLanes) {
        V::Store(at, total);
      } else if (left > 0) {
        V::StoreFirst(at, total, left);
      }
    }
  }
}

template <typename V, typename Weights>
void FloatMatmulRows(const FloatMatmul& task) {
  // As many tokens as leave registers for four chains of each.
  constexpr int kTokens = V::kLanes == 16 ? 4 : 1;
  for (int64_t row = 0; row < task.rows; row += kRowGroup) {
    const std::byte* group = task.weights + row / kRowGroup * task.group_bytes;
    const int64_t rows = task.rows - row < kRowGroup ? task.rows - row : kRowGroup;
    int64_t token = 0;
    for (; token + kTokens <= task.tokens; token += kTokens) {
      FloatTile<V, Weights, kTokens>(task, group, rows, task.x + token * task.x_stride,
                                     task.out + token * task.out_stride + row);
    }
    for (; token < task.tokens; ++token) {
      FloatTile<V, Weights, 1>(task, group, rows, task.x + token * task.x_stride,
                               task.out + token * task.out_stride + row);
    }
  }
}

template <typename V>
void FloatMatmulOf(const FloatMatmul& task) {
  switch (task.kind) {
    case PackedKind::kF32: return FloatMatmulRows<V, F32Weights<V>>(task);
    case PackedKind::kF16: return FloatMatmulRows<V, F16Weights<V>>(task);
    default: return FloatMatmulRows<V, BF16Weights<V>>(task);
  }
}

}  // namespace conclave::engine
