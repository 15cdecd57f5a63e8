#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/files/model_file.h"
#include "engine/tensor/tensor_view.h"

namespace conclave::engine {

/// Numbers of an MXFP4 row that share a scale.
inline constexpr int64_t kMxBlock = 32;

/// A matrix copied out of a file that lays it out otherwise: `view` points into `memory`.
struct CopiedMatrix {
  TensorView view;
  std::shared_ptr<const std::vector<std::byte>> memory;
};

/// Which rows of a fused matrix: all, or every second one from the first or from the second.
enum class FusedRows : uint8_t { kAll, kEven, kOdd };

/// The type of what CopyFusedExpert gives for a tensor.
DType FusedType(const ModelFile& file, const std::string& name);

/// One expert's matrix [outputs, inputs], of a tensor that holds all experts' as transformers' gpt_oss has
/// them: floats [experts, inputs, outputs], or MXFP4 in two tensors of bytes, NAME_blocks [experts, outputs,
/// inputs / 32, 16] (two numbers a byte, the first in the low bits) and NAME_scales [experts, outputs,
/// inputs / 32], which become rows of DType::kMXFP4 without any rounding. Gate and up projections are each
/// other's even and odd outputs. CheckTensors has seen the tensors. Errors: INVALID_ARGUMENT (missing).
Result<CopiedMatrix> CopyFusedExpert(const ModelFile& file, const std::string& name, int64_t expert,
                                     FusedRows rows);

/// The biases of one expert's outputs, of a tensor [experts, outputs]. Errors: as above.
Result<std::vector<float>> CopyExpertBias(const ModelFile& file, const std::string& name, int64_t expert,
                                          FusedRows rows);

}  // namespace conclave::engine
