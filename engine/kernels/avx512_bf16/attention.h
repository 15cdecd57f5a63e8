#pragma once

#include "engine/kernels/attention_task.h"

// What the avx512bf16 set does otherwise than the avx512 set; contract as in Kernels.
namespace conclave::engine::avx512_bf16 {

void Attention(const AttentionTask& task);

}  // namespace conclave::engine::avx512_bf16
