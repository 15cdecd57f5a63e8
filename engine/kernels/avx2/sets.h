#pragma once

#include "engine/kernels/raw_kernels.h"

// The parts of the avx2 set that are not the shared vector functions; contracts as in Kernels.
namespace conclave::engine::avx2 {

void QuantiseRow(const engine::QuantiseRow& row);
void MatmulBlocks(const BlockMatmul& task);

}  // namespace conclave::engine::avx2
