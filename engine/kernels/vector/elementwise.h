#pragma once

#include <cstdint>

#include "engine/kernels/vector/exp.h"

// The elementwise operations for any vector type V (Avx2, Avx512). Contracts: Kernels.
namespace conclave::engine {

/// Calls full(i) for each whole vector of [0, n), then part(i, count) for what is left.
template <typename V, typename Full, typename Part>
inline void ForVectors(int64_t n, Full full, Part part) {
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) full(i);
  if (i < n) part(i, n - i);
}

template <typename V>
void RmsNormOf(const float* x, const float* weight, float epsilon, int64_t n, float* out) {
  typename V::Squares squares;
  ForVectors<V>(
      n, [&](int64_t i) { squares.Add(V::Load(x + i)); },
      [&](int64_t i, int64_t count) { squares.Add(V::LoadFirst(x + i, count)); });
  const double mean = squares.Total() / static_cast<double>(n) + static_cast<double>(epsilon);
  const auto factor = V::Set(static_cast<float>(1.0 / __builtin_sqrt(mean)));
  ForVectors<V>(
      n, [&](int64_t i) { V::Store(out + i, V::Mul(V::Mul(V::Load(x + i), factor), V::Load(weight + i))); },
      [&](int64_t i, int64_t count) {
        const auto scaled = V::Mul(V::LoadFirst(x + i, count), factor);
        V::StoreFirst(out + i, V::Mul(scaled, V::LoadFirst(weight + i, count)), count);
      });
}

template <typename V>
inline typename V::Floats SwiGluOf(typename V::Floats gate, typename V::Floats up) {
  const auto one = V::Set(1.0f);
  const auto exp = ExpOf<V>(V::Sub(V::Zero(), gate));
  return V::Mul(V::Div(gate, V::Add(one, exp)), up);
}

template <typename V>
void SwiGluRow(const float* gate, const float* up, int64_t n, float* out) {
  ForVectors<V>(
      n, [&](int64_t i) { V::Store(out + i, SwiGluOf<V>(V::Load(gate + i), V::Load(up + i))); },
      [&](int64_t i, int64_t count) {
        V::StoreFirst(out + i, SwiGluOf<V>(V::LoadFirst(gate + i, count), V::LoadFirst(up + i, count)),
                      count);
      });
}

template <typename V>
inline typename V::Floats SwiGluClampedOf(typename V::Floats gate, typename V::Floats up, float alpha,
                                          float limit) {
  const auto one = V::Set(1.0f);
  // The second one where either is NaN.
  const auto g = V::Min(V::Set(limit), gate);
  const auto u = V::Max(V::Set(-limit), V::Min(V::Set(limit), up));
  const auto exp = ExpOf<V>(V::Mul(g, V::Set(-alpha)));
  return V::Mul(V::Div(g, V::Add(one, exp)), V::Add(u, one));
}

template <typename V>
void SwiGluClampedRow(const float* gate, const float* up, float alpha, float limit, int64_t n, float* out) {
  ForVectors<V>(
      n,
      [&](int64_t i) {
        V::Store(out + i, SwiGluClampedOf<V>(V::Load(gate + i), V::Load(up + i), alpha, limit));
      },
      [&](int64_t i, int64_t count) {
        const auto g = V::LoadFirst(gate + i, count);
        V::StoreFirst(out + i, SwiGluClampedOf<V>(g, V::LoadFirst(up + i, count), alpha, limit), count);
      });
}

template <typename V>
void ExpRow(const float* x, int64_t n, float* out) {
  ForVectors<V>(
      n, [&](int64_t i) { V::Store(out + i, ExpOf<V>(V::Load(x + i))); },
      [&](int64_t i, int64_t count) { V::StoreFirst(out + i, ExpOf<V>(V::LoadFirst(x + i, count)), count); });
}

template <typename V>
void AddRow(float* x, const float* y, int64_t n) {
  ForVectors<V>(
      n, [&](int64_t i) { V::Store(x + i, V::Add(V::Load(x + i), V::Load(y + i))); },
      [&](int64_t i, int64_t count) {
        V::StoreFirst(x + i, V::Add(V::LoadFirst(x + i, count), V::LoadFirst(y + i, count)), count);
      });
}

template <typename V>
void ToBrainRow(const float* x, int64_t n, uint16_t* out) {
  // The compiler makes vectors of it.
  for (int64_t i = 0; i < n; ++i) {
    uint32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof bits);
    const uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
    const uint32_t quiet = bits >> 16 | 0x40u;
    out[i] = static_cast<uint16_t>((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded);
  }
}

}  // namespace conclave::engine
