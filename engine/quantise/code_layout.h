#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/tensor/dtype.h"

namespace conclave::engine {

/// The whole numbers that a block format may hold: a stored number is scale * code, or scale * code + offset.
struct CodeRange {
  int lowest = 0;
  int highest = 0;
};

/// For quantised formats. Q8_0 leaves -128 out, as every program that writes it does.
CodeRange CodeRangeOf(DType dtype);

/// How many consecutive numbers share a scale: 32, or 16 (Q6_K).
int64_t ScaleGroupOf(DType dtype);

/// Writes the codes of one block (InfoOf(dtype).block_elements, each in CodeRangeOf) to where the format has
/// them, and nothing else of `block`. Layouts: ggml-common.h.
void WriteCodes(DType dtype, const int8_t* codes, std::byte* block);

/// The codes of one block, as WriteCodes takes them.
void ReadCodes(DType dtype, const std::byte* block, int8_t* codes);

/// What one code step is worth in each scale group of a block: [block_elements / ScaleGroupOf].
void ReadSteps(DType dtype, const std::byte* block, float* steps);

}  // namespace conclave::engine
