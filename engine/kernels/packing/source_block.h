#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/kernels/packed_matrix.h"
#include "engine/tensor/dtype.h"

namespace conclave::engine {

/// 32 numbers of a stored row, taken apart but not changed: number i is scale[i / 16] * (q[i] - zero_point) +
/// offset, q[i] being looked up first where the format says so (BlockFormat).
struct SourceBlock {
  std::array<uint8_t, kActivationBlock> q;
  std::array<float, 2> scales;  ///< equal unless the format has half groups
  float offset = 0.0f;
};

/// How blocks of a quantised stored format are packed.
BlockFormat BlockFormatOf(DType dtype);

/// Takes columns [32 * block, 32 * block + 32) of a row of a quantised format apart.
SourceBlock ReadSourceBlock(DType dtype, const std::byte* row, int64_t block);

}  // namespace conclave::engine
