#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace conclave::engine {

/// How the numbers of a stored tensor are encoded. Quantised formats are GGUF's
/// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; layouts: ggml-common.h).
enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kMXFP4
};

inline constexpr int kDTypeCount = 12;

struct DTypeInfo {
  std::string_view name;   ///< As GGUF spells it, for example "Q4_1".
  int64_t block_elements;  ///< Consecutive numbers of one row that share a block; 1 for plain floats.
  int64_t block_bytes;     ///< Bytes of one block.
};

const DTypeInfo& InfoOf(DType dtype);

/// Whether numbers of a block share a scale (everything but F32, F16, BF16).
bool IsQuantised(DType dtype);

/// Half of what an E8M0 number stands for, 2^(exponent - 127); NaN for 255 (OCP Microscaling Formats 1.0,
/// section 5.4.1). MXFP4's 4-bit floats are exact as whole numbers of such halves.
float HalfOfE8M0(uint8_t exponent);

/// Bytes of one row of `columns` numbers; nullopt when `columns` is not a multiple of the block or the size
/// overflows 63 bits.
std::optional<int64_t> RowBytes(DType dtype, int64_t columns);

/// Decodes `columns` numbers of one row (whole blocks) to float32, exactly as the format defines them. This
/// is the specification that every kernel is compared with. `row` must hold RowBytes(dtype, columns) bytes.
void DequantiseRow(DType dtype, const std::byte* row, int64_t columns, float* out);

}  // namespace conclave::engine
