#pragma once

#include "base/result.h"
#include "engine/files/model_file.h"
#include "engine/model/architecture.h"

namespace conclave::engine {

// The two spellings of a model's description, and the checks they share. DescribeModel is the entry point.

/// Reads the keys of a GGUF header below its family's name (`llama.*`, `qwen2moe.*` and so on)
/// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#standardized-key-value-pairs). Numbers are not
/// yet checked. Errors: INVALID_ARGUMENT, UNIMPLEMENTED.
Result<ModelDescription> DescribeGguf(const ModelFile& file);

/// Reads a config.json as transformers writes it for the families of config_families.cc. Numbers are not yet
/// checked. Errors: INVALID_ARGUMENT, UNIMPLEMENTED.
Result<ModelDescription> DescribeConfig(const ModelFile& file);

/// What every gpt_oss model has, whatever its file says: attention sinks, clamped SwiGLU, biases of router
/// and experts, and a softmax over the chosen experts' logits (which is that over all, divided by the chosen
/// ones' sum).
void ApplyGptOss(Architecture& architecture);

/// Whether every number is in range and they fit each other. Errors: INVALID_ARGUMENT.
Status CheckArchitecture(const Architecture& architecture);

/// Whether the file holds every tensor that the description needs, in the right shape and in a format the
/// engine computes with, and no tensor that the description does not explain. Errors: INVALID_ARGUMENT,
/// UNIMPLEMENTED.
Status CheckTensors(const ModelFile& file, const ModelDescription& description);

}  // namespace conclave::engine
