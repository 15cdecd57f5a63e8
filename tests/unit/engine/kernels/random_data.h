#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/kernels/half_rounding.h"
#include "engine/tensor/tensor_view.h"

namespace conclave::engine::testing {

inline constexpr DType kAllDTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ4_0,
                                       DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                                       DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kMXFP4};

inline constexpr DType kQuantisedDTypes[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                                             DType::kQ5_1, DType::kQ8_0, DType::kQ4_K,
                                             DType::kQ5_K, DType::kQ6_K, DType::kMXFP4};

inline std::vector<float> RandomFloats(std::mt19937& random, int64_t n, float width = 1.0f) {
  std::normal_distribution<float> normal(0.0f, width);
  std::vector<float> out(static_cast<size_t>(n));
  for (float& x : out) x = normal(random);
  return out;
}

/// A stored matrix with its bytes.
struct StoredMatrix {
  std::vector<std::byte> bytes;
  TensorView view;

  std::vector<float> Row(int64_t row) const {
    std::vector<float> out(static_cast<size_t>(view.columns()));
    DequantiseRow(view.dtype, view.data + row * *RowBytes(view.dtype, view.columns()), view.columns(),
                  out.data());
    return out;
  }
};

/// Where a block of a format keeps its half-precision scales.
inline std::vector<int64_t> ScaleOffsets(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
    case DType::kQ5_0:
    case DType::kQ8_0: return {0};
    case DType::kQ6_K: return {208};
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kMXFP4: return {};
    default: return {0, 2};
  }
}

inline void FillFloats(std::mt19937& random, DType dtype, std::vector<std::byte>& bytes) {
  const int64_t width = InfoOf(dtype).block_bytes;
  const auto count = static_cast<int64_t>(bytes.size()) / width;
  const std::vector<float> numbers = RandomFloats(random, count, 0.1f);
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, &numbers[i], 4);
    uint16_t word = dtype == DType::kF16 ? FloatToHalf(numbers[i]) : static_cast<uint16_t>(bits >> 16);
    std::memcpy(bytes.data() + i * width, width == 4 ? static_cast<void*>(&bits) : static_cast<void*>(&word),
                static_cast<size_t>(width));
  }
}

/// Random numbers of a format: every bit pattern of the integers, scales about 0.01.
inline StoredMatrix RandomMatrix(std::mt19937& random, DType dtype, int64_t rows, int64_t columns) {
  StoredMatrix out;
  out.bytes.resize(static_cast<size_t>(rows * *RowBytes(dtype, columns)));
  if (!IsQuantised(dtype)) {
    FillFloats(random, dtype, out.bytes);
  } else {
    for (std::byte& byte : out.bytes) byte = static_cast<std::byte>(random());
    std::normal_distribution<float> normal(0.0f, 0.01f);
    const int64_t block_bytes = InfoOf(dtype).block_bytes;
    for (size_t block = 0; block < out.bytes.size(); block += static_cast<size_t>(block_bytes)) {
      for (const int64_t at : ScaleOffsets(dtype)) {
        const uint16_t half = FloatToHalf(normal(random));
        std::memcpy(out.bytes.data() + block + at, &half, 2);
      }
      // 2^-8 to 2^-5.
      if (dtype == DType::kMXFP4) out.bytes[block] = static_cast<std::byte>(119 + random() % 4);
    }
  }
  out.view = {.name = "w",
              .dtype = dtype,
              .rank = 2,
              .shape = {rows, columns},
              .data = out.bytes.data(),
              .bytes = static_cast<int64_t>(out.bytes.size())};
  return out;
}

}  // namespace conclave::engine::testing
