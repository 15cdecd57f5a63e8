#pragma once

#include <cstddef>

#include "engine/tensor/dtype.h"

namespace conclave::engine {

// One block [InfoOf(dtype).block_elements] of finite numbers, encoded to InfoOf(dtype).block_bytes, so that
// the sum of weights[i] * (x[i] - decoded[i])^2 is as small as the search finds. Weights are at least 0.

/// Q4_0, Q5_0, Q8_0: 32 numbers, a scale.
void QuantiseScaledBlock(DType dtype, const float* x, const float* weights, std::byte* out);

/// Q4_1, Q5_1: 32 numbers, a scale and an offset.
void QuantiseOffsetBlock(DType dtype, const float* x, const float* weights, std::byte* out);

/// Q4_K, Q5_K: eight groups of 32, each with a 6-bit scale and a 6-bit minimum in units of two shared scales.
void QuantiseMinimumSuperBlock(DType dtype, const float* x, const float* weights, std::byte* out);

/// Q6_K: sixteen groups of 16, each with an 8-bit scale in units of a shared one.
void QuantiseScaledSuperBlock(const float* x, const float* weights, std::byte* out);

/// Any of these.
void QuantiseBlock(DType dtype, const float* x, const float* weights, std::byte* out);

}  // namespace conclave::engine
