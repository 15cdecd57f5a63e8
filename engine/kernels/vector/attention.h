#pragma once

#include "engine/kernels/vector/brain_attention.h"
#include "engine/kernels/vector/float_attention.h"

namespace conclave::engine {

template <typename V>
void AttentionOf(const AttentionTask& task) {
  if (task.half_precision) {
    BrainAttention<V>::Run(task);
  } else {
    FloatAttention<V>::Run(task);
  }
}

}  // namespace conclave::engine
