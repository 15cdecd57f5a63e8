#pragma once

#include <cstdint>

// RoPE for any vector type V. Contract: Kernels::rope.
namespace conclave::engine {

template <typename V>
inline void RotateVectors(typename V::Floats& a, typename V::Floats& b, typename V::Floats cosine,
                          typename V::Floats sine) {
  const auto x = a;
  a = V::NegatedFma(b, sine, V::Mul(x, cosine));
  b = V::Fma(b, cosine, V::Mul(x, sine));
}

template <typename V>
void RopeHalvesOf(float* x, int64_t heads, int64_t head_dim, int64_t dims, const float* cos_sin) {
  const int64_t half = dims / 2;
  for (int64_t head = 0; head < heads; ++head) {
    float* at = x + head * head_dim;
    for (int64_t i = 0; i < half; i += V::kLanes) {
      const int64_t count = half - i < V::kLanes ? half - i : V::kLanes;
      if (count == V::kLanes) {
        auto a = V::Load(at + i);
        auto b = V::Load(at + half + i);
        RotateVectors<V>(a, b, V::Load(cos_sin + i), V::Load(cos_sin + half + i));
        V::Store(at + i, a);
        V::Store(at + half + i, b);
      } else {
        auto a = V::LoadFirst(at + i, count);
        auto b = V::LoadFirst(at + half + i, count);
        RotateVectors<V>(a, b, V::LoadFirst(cos_sin + i, count), V::LoadFirst(cos_sin + half + i, count));
        V::StoreFirst(at + i, a, count);
        V::StoreFirst(at + half + i, b, count);
      }
    }
  }
}

template <typename V>
void RopeInterleavedOf(float* x, int64_t heads, int64_t head_dim, int64_t dims, const float* cos_sin) {
  const int64_t half = dims / 2;
  for (int64_t head = 0; head < heads; ++head) {
    float* at = x + head * head_dim;
    int64_t i = 0;
    for (; i + V::kLanes <= half; i += V::kLanes) {
      typename V::Floats a, b, even, odd;
      V::Deinterleave(V::Load(at + 2 * i), V::Load(at + 2 * i + V::kLanes), even, odd);
      RotateVectors<V>(even, odd, V::Load(cos_sin + i), V::Load(cos_sin + half + i));
      V::Interleave(even, odd, a, b);
      V::Store(at + 2 * i, a);
      V::Store(at + 2 * i + V::kLanes, b);
    }
    for (; i < half; ++i) {
      const float a = at[2 * i];
      const float b = at[2 * i + 1];
      const float cosine = cos_sin[i];
      const float sine = cos_sin[half + i];
      at[2 * i] = __builtin_fmaf(-b, sine, a * cosine);
      at[2 * i + 1] = __builtin_fmaf(b, cosine, a * sine);
    }
  }
}

}  // namespace conclave::engine
