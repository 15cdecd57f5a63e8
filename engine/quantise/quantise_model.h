#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/result.h"
#include "engine/parallel/thread_pool.h"
#include "engine/quantise/column_statistics.h"
#include "engine/quantise/quantise_source.h"
#include "engine/quantise/tensor_plan.h"

namespace conclave::engine {

struct QuantiseOptions {
  TensorTypes types;
  bool replace = false;  ///< Whether a file named OUT may be replaced.
};

/// What was written.
struct QuantiseReport {
  std::map<std::string, int64_t> tensors;  ///< how many of each type, by the type's name
  int64_t replaced = 0;                    ///< matrices whose rows are not whole blocks of the type asked for
  uint64_t source_bytes = 0;
  uint64_t bytes = 0;
};

/// Writes the model to `out` with other types: the same tensors and key-value pairs, and general.file_type
/// and general.quantization_version. Holds a few rows at a time. `progress` gets the numbers done and all
/// numbers. Errors: INVALID_ARGUMENT (`out` is the source or lies where it would replace a part of it; a
/// weight that is not finite, by the tensor's name), and those of GgufWriter.
Result<QuantiseReport> QuantiseModel(const QuantiseSource& source, const std::string& out,
                                     const QuantiseOptions& options, const Importance& importance,
                                     ThreadPool& pool,
                                     const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace conclave::engine
