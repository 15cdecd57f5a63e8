#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/tensor/dtype.h"
#include "engine/tensor/tensor_view.h"

namespace conclave::engine {

/// The formats of the matrices of a model that is written.
struct TensorTypes {
  DType matrices = DType::kQ4_K;
  /// Of the output head: `output.weight`, or the embedding table when that is the head too. Errors there
  /// reach the logits undamped.
  DType head = DType::kQ8_0;
};

/// The format `name` spells as GGUF does, in any case ("q4_k"), among those a model can be written in: all of
/// DType but BF16 and MXFP4. Errors: INVALID_ARGUMENT that lists them.
Result<DType> ParseTargetType(std::string_view name);

/// What GGUF's `general.file_type` says of a file whose matrices are mostly `dtype`
/// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
uint32_t FileTypeOf(DType dtype);

/// `wanted`, or what takes its place when rows of `columns` numbers are not whole blocks of it: Q4_K becomes
/// Q5_0, Q5_K Q5_1, Q6_K Q8_0 (as llama-quantize has it, so that sizes compare), and F16 when they are not
/// whole blocks of 32 either.
DType FittingType(DType wanted, int64_t columns);

/// One target type for each tensor, whose names are GGUF's. Norms, biases, routers of experts and everything
/// with one dimension become F32.
std::vector<DType> PlanTensors(const std::vector<TensorView>& tensors, const TensorTypes& types);

}  // namespace conclave::engine
