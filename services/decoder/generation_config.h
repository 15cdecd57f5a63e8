#pragma once

#include <string>

#include "base/result.h"
#include "engine/sampling/sampling_params.h"

namespace conclave::decoder {

/// What a model's makers recommend for sampling: `generation_config.json` beside the weights, the file that
/// Hugging Face's model folders carry (transformers' documentation, GenerationConfig). Read are temperature,
/// top_k, top_p, min_p and repetition_penalty; `do_sample: false` means greedy. Without the file, and for
/// what it leaves out or sets to null: the defaults of engine::SamplingParams. `model_path`: a .gguf file or
/// a model folder. Errors: INVALID_ARGUMENT naming file and key.
Result<engine::SamplingParams> ReadGenerationConfig(const std::string& model_path);

}  // namespace conclave::decoder
