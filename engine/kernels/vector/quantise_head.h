#pragma once

#include <cstdint>

// One head's query, key or value as 8-bit numbers with one scale, for any vector type V.
namespace conclave::engine {

/// See Kernels::quantise_head.
template <typename V>
float QuantiseHeadOf(const float* x, int64_t n, int8_t* q) {
  using Floats = typename V::Floats;
  const auto load = [&](int64_t i) {
    return n - i >= V::kLanes ? V::Load(x + i) : V::LoadFirst(x + i, n - i);
  };
  Floats most = V::Zero();
  Floats zeros = V::Zero();
  for (int64_t i = 0; i < n; i += V::kLanes) {
    const Floats part = load(i);
    most = V::Max(V::Max(part, V::Sub(V::Zero(), part)), most);
    zeros = V::Add(zeros, V::Mul(part, V::Zero()));
  }
  float scale = V::Largest(most) / 127.0f;
  if (V::Sum(zeros) != 0.0f) scale = __builtin_nanf("");
  const bool usable = scale >= __FLT_MIN__;
  const Floats inverse = V::Set(usable ? 1.0f / scale : 0.0f);
  for (int64_t i = 0; i < n; i += V::kLanes) {
    V::StoreBytes(reinterpret_cast<uint8_t*>(q) + i,
                  V::ToWords(usable ? V::Mul(load(i), inverse) : V::Zero()));
  }
  return usable || scale != scale ? scale : 0.0f;
}

}  // namespace conclave::engine
