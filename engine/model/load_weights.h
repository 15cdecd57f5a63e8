#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/files/model_file.h"
#include "engine/kernels/packed_matrix.h"

namespace conclave::engine {

// Tensors of a file by name. Errors of all: INVALID_ARGUMENT (missing), or what packing reports.

/// A tensor of one row (norm weight, bias) as floats; of another size it is an error.
Result<std::vector<float>> LoadVector(const ModelFile& file, const std::string& name, int64_t size);

Result<PackedMatrix> LoadMatrix(const ModelFile& file, const std::string& name);

/// All numbers of a tensor whose rows have `columns` numbers, whatever its format.
Result<std::vector<float>> LoadNumbers(const ModelFile& file, const std::string& name, int64_t columns);

/// Packs numbers [rows, columns] in float32.
Result<PackedMatrix> PackNumbers(const std::vector<float>& numbers, int64_t columns);

/// A matrix of `columns` columns in float32, whatever its format: routers decide between experts, and are
/// small.
Result<PackedMatrix> LoadFloats(const ModelFile& file, const std::string& name, int64_t columns);

}  // namespace conclave::engine
