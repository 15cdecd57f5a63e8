#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/files/gguf_writer.h"
#include "engine/model/architecture.h"

namespace conclave::engine {

/// What a GGUF file says about a model that came from elsewhere.
struct GgufDescription {
  GgufPairs pairs;         ///< general.architecture, general.name and all keys below the family's name
  RopeLayout rope_layout;  ///< of the file's query and key projections
  WeightNames names;       ///< of the file's tensors
  /// What `rope_freqs.weight` holds: a divisor of each rotated pair's frequency [rope_dims / 2]. Empty: no
  /// such tensor.
  std::vector<float> rope_divisors;
};

/// Spells an architecture as a GGUF file of its family (GgufFamilyOf): DescribeModel reads the same one from
/// it, and so does llama.cpp (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#llm). `name` goes
/// into general.name. Errors: UNIMPLEMENTED (what the family's files cannot say: a kind of RoPE scaling,
/// dense layers of a mixture).
Result<GgufDescription> DescribeAsGguf(const Architecture& architecture, const std::string& name);

}  // namespace conclave::engine
