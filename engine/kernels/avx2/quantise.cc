#include <immintrin.h>

#include "engine/kernels/avx2/sets.h"

namespace conclave::engine::avx2 {
namespace {

constexpr uint32_t kInfinityBits = 0x7F800000u;
constexpr float kSmallestNormal = 0x1p-126f;

uint32_t Largest(__m256i x) {
  __m128i m = _mm_max_epu32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4E));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xB1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(m));
}

int32_t Sum(__m256i x) {
  __m128i m = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  m = _mm_add_epi32(m, _mm_shuffle_epi32(m, 0x4E));
  m = _mm_add_epi32(m, _mm_shuffle_epi32(m, 0xB1));
  return _mm_cvtsi128_si32(m);
}

/// Quantises 32 numbers; returns the scale. See reference/quantise.cc.
float QuantiseBlock(const float* x, int8_t* q, int32_t* half_sums) {
  // Without their signs, floats order as integers do; what lies above infinity is NaN.
  const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i largest = _mm256_setzero_si256();
  for (int i = 0; i < 4; ++i) {
    const __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(x + i * 8));
    largest = _mm256_max_epu32(largest, _mm256_and_si256(bits, magnitude));
  }
  const uint32_t bits = Largest(largest);
  __m256i rounded[4];
  for (__m256i& part : rounded) part = _mm256_setzero_si256();
  float scale;
  if (bits >= kInfinityBits) {
    scale = __builtin_nanf("");
  } else {
    scale = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(bits)))) / 127.0f;
    if (scale < kSmallestNormal) {
      scale = 0.0f;
    } else {
      const __m256 inverse = _mm256_set1_ps(1.0f / scale);
      for (int i = 0; i < 4; ++i) {
        rounded[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i * 8), inverse));
      }
    }
  }
  // Packing works within 128-bit halves; the permutation puts the four-byte runs in order.
  const __m256i words_low = _mm256_packs_epi32(rounded[0], rounded[1]);
  const __m256i words_high = _mm256_packs_epi32(rounded[2], rounded[3]);
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(words_low, words_high), order);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), bytes);
  half_sums[0] = Sum(_mm256_add_epi32(rounded[0], rounded[1]));
  half_sums[1] = Sum(_mm256_add_epi32(rounded[2], rounded[3]));
  return scale;
}

}  // namespace

void QuantiseRow(const engine::QuantiseRow& row) {
  for (int64_t at = 0, block = 0; at < row.columns; at += kActivationBlock, ++block) {
    const float* x = row.x + at;
    float padded[kActivationBlock] = {};
    if (row.columns - at < kActivationBlock) {
      for (int64_t i = 0; i < row.columns - at; ++i) padded[i] = x[i];
      x = padded;
    }
    int32_t* halves = row.half_sums + block * 2;
    const float scale = QuantiseBlock(x, row.q + at, halves);
    row.scales[block] = scale;
    row.sums[block] = scale * static_cast<float>(halves[0] + halves[1]);
  }
}

}  // namespace conclave::engine::avx2
