#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "engine/parallel/thread_pool.h"
#include "engine/quantise/column_statistics.h"
#include "engine/tensor/dtype.h"
#include "engine/tensor/tensor_view.h"

namespace conclave::engine {

/// Which row of a source is written as which.
struct RowOrder {
  /// Rows of one head whose halves become neighbours: Hugging Face rotates the pairs (i, i + n / 2) of a
  /// head's n numbers, GGUF's llama (2i, 2i + 1). 0: rows stay where they are.
  int64_t head_rows = 0;

  int64_t SourceRow(int64_t row) const {
    if (head_rows == 0) return row;
    const int64_t in_head = row % head_rows;
    return row - in_head + in_head % 2 * (head_rows / 2) + in_head / 2;
  }
};

/// Converts rows [row_begin, row_end), as they are written, of `source` to `target` (any type but BF16) into
/// `out`, whose size is that many rows, shared among the pool. With `statistics` of its columns (else
/// nullptr) codes are refined (CodeRefiner). Errors: INVALID_ARGUMENT that names the tensor and the first bad
/// row (a number that is not finite, or too large for the type).
Status ConvertRows(const TensorView& source, RowOrder order, int64_t row_begin, int64_t row_end, DType target,
                   const ColumnStatistics* statistics, ThreadPool& pool, std::span<std::byte> out);

}  // namespace conclave::engine
