#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/packed_matrix.h"
#include "engine/tensor/dtype.h"

namespace conclave::engine {

/// A part of a stored matrix: rows that lie `stride` bytes apart, each starting at its first column.
struct SourceRows {
  DType dtype = DType::kF32;
  const std::byte* first = nullptr;
  int64_t stride = 0;
  int64_t rows = 0;
  int64_t columns = 0;
};

/// Writes float rows into zeroed memory as [group of 16 rows][column][16], numbers unchanged.
void PackFloats(const SourceRows& source, std::byte* out);

/// Writes quantised rows into zeroed memory as blocks of `format`.
void PackBlocks(const SourceRows& source, const BlockFormat& format, std::byte* out);

}  // namespace conclave::engine
