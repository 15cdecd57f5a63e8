#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "engine/files/gguf_writer.h"
#include "engine/parallel/thread_pool.h"
#include "engine/tensor/tensor_view.h"

namespace conclave::engine {

/// Writes `rows` rows of `source` as they are stored; row i is the source's `source_row(i)`. Errors:
/// INVALID_ARGUMENT that names the tensor and the row (a weight that is not finite), those of GgufWriter.
Status AppendRows(const TensorView& source, int64_t rows, const std::function<int64_t(int64_t)>& source_row,
                  ThreadPool& pool, GgufWriter& writer);

/// Writes some columns of `source` [rows, columns] as a matrix of its own. Float formats keep their bits;
/// quantised numbers share scales with neighbours that they leave, and are rounded anew, to `target`. Errors:
/// as above.
Status AppendColumns(const TensorView& source, std::span<const int32_t> columns, DType target,
                     ThreadPool& pool, GgufWriter& writer);

}  // namespace conclave::engine
