#pragma once

#include "engine/kernels/vector/brain_attention.h"
#include "engine/kernels/vector/float_attention.h"
#include "engine/kernels/vector/int8_attention.h"

namespace conclave::engine {

template <typename V>
void AttentionOf(const AttentionTask& task) {
  switch (task.format) {
    case KvFormat::kFloat32: return FloatAttention<V>::Run(task);
    case KvFormat::kBrainPairs: return BrainAttention<V>::Run(task);
    case KvFormat::kInt8: return Int8Attention<V>::Run(task);
  }
}

}  // namespace conclave::engine
