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

/// Converts rows [row_begin, row_end) of `source` to `target` (any type but BF16) into `out`, whose size is
/// that many rows, shared among the pool. With `statistics` of its columns (else nullptr) codes are refined
/// (CodeRefiner). Errors: INVALID_ARGUMENT that names the tensor and the first bad row (a number that is not
/// finite, or too large for the type).
Status ConvertRows(const TensorView& source, int64_t row_begin, int64_t row_end, DType target,
                   const ColumnStatistics* statistics, ThreadPool& pool, std::span<std::byte> out);

}  // namespace conclave::engine
