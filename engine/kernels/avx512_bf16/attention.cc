#include "engine/kernels/vector/attention.h"

#include "engine/kernels/avx512/vector.h"
#include "engine/kernels/avx512_bf16/attention.h"

namespace conclave::engine::avx512_bf16 {
namespace {

/// Avx512 with the instruction for pairs of bfloat16 numbers.
struct Vector : Avx512 {
  using Pair = Words;
  static Pair SetPair(uint32_t pair) { return _mm512_set1_epi32(static_cast<int>(pair)); }
  static Floats DotPairs(Floats sum, Words a, Pair b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
};

}  // namespace

void Attention(const AttentionTask& task) { AttentionOf<Vector>(task); }

}  // namespace conclave::engine::avx512_bf16
