#include <immintrin.h>

#include "engine/kernels/avx512/sets.h"

namespace conclave::engine::avx512 {
namespace {

constexpr uint32_t kInfinityBits = 0x7F800000u;
constexpr float kSmallestNormal = 0x1p-126f;

/// Quantises 32 numbers in two vectors; returns the scale. See reference/quantise.cc.
float QuantiseBlock(__m512 low, __m512 high, int8_t* q, int32_t* half_sums) {
  // Without their signs, floats order as integers do; what lies above infinity is NaN.
  const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
  const __m512i largest = _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(low), magnitude),
                                           _mm512_and_si512(_mm512_castps_si512(high), magnitude));
  const uint32_t bits = _mm512_reduce_max_epu32(largest);
  const __m512i zero = _mm512_setzero_si512();
  __m512i a = zero;
  __m512i b = zero;
  float scale;
  if (bits >= kInfinityBits) {
    scale = __builtin_nanf("");
  } else {
    scale = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(bits)))) / 127.0f;
    if (scale < kSmallestNormal) {
      scale = 0.0f;
    } else {
      const __m512 inverse = _mm512_set1_ps(1.0f / scale);
      a = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
      b = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
    }
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_cvtepi32_epi8(a));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q + 16), _mm512_cvtepi32_epi8(b));
  half_sums[0] = _mm512_reduce_add_epi32(a);
  half_sums[1] = _mm512_reduce_add_epi32(b);
  return scale;
}

__mmask16 First(int64_t n) { return n >= 16 ? 0xFFFF : n <= 0 ? 0 : static_cast<__mmask16>((1u << n) - 1); }

}  // namespace

void QuantiseRow(const engine::QuantiseRow& row) {
  for (int64_t at = 0, block = 0; at < row.columns; at += kActivationBlock, ++block) {
    const int64_t left = row.columns - at;
    const __m512 low = _mm512_maskz_loadu_ps(First(left), row.x + at);
    const __m512 high = _mm512_maskz_loadu_ps(First(left - 16), row.x + at + 16);
    int32_t* halves = row.half_sums + block * 2;
    const float scale = QuantiseBlock(low, high, row.q + at, halves);
    row.scales[block] = scale;
    row.sums[block] = scale * static_cast<float>(halves[0] + halves[1]);
  }
}

}  // namespace conclave::engine::avx512
