#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/model/architecture.h"
#include "engine/parallel/thread_pool.h"
#include "engine/quantise/quantise_source.h"
#include "engine/upcycle/plan_experts.h"

namespace conclave::engine {

/// The down projections of a dense model's layers, [hidden, inner] each. Errors: INVALID_ARGUMENT (a layer
/// has none: the model is a mixture or of another kind).
Result<std::vector<TensorView>> DownProjections(const QuantiseSource& source, int64_t layers);

/// The format that the down projections of experts are written in: floats stay what they are, and quantised
/// ones become Q8_0, as columns that share a block part.
DType ExpertDownType(DType source);

struct UpcycleReport {
  uint64_t source_bytes = 0;
  uint64_t bytes = 0;
  DType down = DType::kF32;  ///< the format of the down projections of layer 0
};

/// Writes the model that `source` holds with its feed-forward blocks as experts (`plan`), as a GGUF file of
/// the family kUpcycledFamily: `dense` says which family it was. Rows of gate and up projections move as they
/// are stored, down projections as ExpertDownType says, and everything else stays: the other tensors bit for
/// bit (one-dimensional ones as F32), the tokenizer and the model's keys under the new family's name.
/// `progress` gets the numbers done and all numbers. Errors: INVALID_ARGUMENT (`out` is the source; a weight
/// that is not finite, by the tensor's name), UNIMPLEMENTED (a family whose GGUF name is not known), and
/// those of GgufWriter.
Result<UpcycleReport> WriteUpcycled(const QuantiseSource& source, const Architecture& dense,
                                    const ExpertShape& shape, const ExpertPlan& plan, const std::string& out,
                                    bool replace, ThreadPool& pool,
                                    const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace conclave::engine
