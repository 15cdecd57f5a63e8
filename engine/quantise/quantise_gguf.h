#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/result.h"
#include "engine/parallel/thread_pool.h"
#include "engine/quantise/column_statistics.h"
#include "engine/quantise/tensor_plan.h"

namespace conclave::engine {

struct QuantiseOptions {
  TensorTypes types;
  bool requantise = false;  ///< Whether a tensor that is quantised already may be quantised again.
  bool replace = false;     ///< Whether a file named OUT may be replaced.
};

/// What was written.
struct QuantiseReport {
  std::map<std::string, int64_t> tensors;  ///< how many of each type, by the type's name
  int64_t replaced = 0;                    ///< matrices whose rows are not whole blocks of the type asked for
  uint64_t source_bytes = 0;
  uint64_t bytes = 0;
};

/// Writes the model in `in` to `out` with other types: the same tensors in the same order, every key-value
/// pair as it stands but general.file_type and general.quantization_version. Holds a few rows at a time.
/// `progress` gets the numbers done and all numbers. Errors: as OpenGgufFile; INVALID_ARGUMENT (`out` is
/// `in`, a weight that is not finite, by the tensor's name), FAILED_PRECONDITION (`in` is quantised and
/// `requantise` is off), UNIMPLEMENTED (a tensor in a format that the engine cannot read; one part of a split
/// model), and those of GgufWriter.
Result<QuantiseReport> QuantiseGguf(const std::string& in, const std::string& out,
                                    const QuantiseOptions& options, const Importance& importance,
                                    ThreadPool& pool,
                                    const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace conclave::engine
