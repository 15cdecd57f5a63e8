#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "engine/quantise/k_scales.h"
#include "engine/quantise/row_quantiser.h"
#include "engine/tensor/dtype.h"

namespace conclave::engine::testing {

inline constexpr DType kBlockFormats[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                          DType::kQ8_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

/// Levels of a format: 16 for four bits.
inline int LevelsOf(DType dtype) { return 1 << (InfoOf(dtype).name[1] - '0'); }

/// Gives a zeroed block scales of 1 and offsets of 0.
inline void SetUnitScales(DType dtype, std::byte* block) {
  constexpr uint16_t kOne = 0x3C00;
  auto* bytes = reinterpret_cast<uint8_t*>(block);
  if (dtype == DType::kQ6_K) {
    std::memset(bytes + 192, 1, 16);
    std::memcpy(bytes + 208, &kOne, sizeof kOne);
    return;
  }
  std::memcpy(bytes, &kOne, sizeof kOne);
  if (dtype != DType::kQ4_K && dtype != DType::kQ5_K) return;
  KScales scales;
  scales.scale.fill(1);
  PackKScales(scales, bytes + 4);
}

/// `row` quantised and decoded again.
inline std::vector<float> RoundTrip(DType dtype, const std::vector<float>& row,
                                    std::span<const float> importance = {}) {
  const auto columns = static_cast<int64_t>(row.size());
  std::vector<std::byte> bytes(*RowBytes(dtype, columns));
  RowQuantiser(dtype, importance, columns).Quantise(row.data(), bytes.data());
  std::vector<float> decoded(row.size());
  DequantiseRow(dtype, bytes.data(), columns, decoded.data());
  return decoded;
}

inline std::vector<float> NormalNumbers(int64_t count, float deviation, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> numbers(count);
  for (float& x : numbers) x = normal(random);
  return numbers;
}

/// Sum of weights * (a - b)^2; weights of 1 when there are none.
inline double WeightedError(const std::vector<float>& a, const std::vector<float>& b,
                            std::span<const float> weights = {}) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double off = static_cast<double>(a[i]) - b[i];
    sum += off * off * (weights.empty() ? 1.0 : weights[i]);
  }
  return sum;
}

}  // namespace conclave::engine::testing
