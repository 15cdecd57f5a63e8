#include "engine/roofline/peak_loops.h"

#include <iterator>

#include <immintrin.h>

namespace conclave::engine {
namespace {

// Defines a loop: `step` makes the next value of `sum` from the constants `w` (3 in each element) and `x`
// (-2). A macro, since a lambda or template does not inherit a function's instruction set.
#define CONCLAVE_PEAK_LOOP(name, instructions, Vector, Factor, zero, w_value, x_value, step, lane0) \
  __attribute__((target(instructions))) double name(int64_t steps) {                                \
    Vector sums[kPeakChains];                                                                       \
    Factor w = w_value;                                                                             \
    const Factor x = x_value;                                                                       \
    _Pragma("GCC unroll 12") for (Vector& sum : sums) sum = zero;                                   \
    for (int64_t i = 0; i < steps; ++i) {                                                           \
      _Pragma("GCC unroll 12") for (Vector& sum : sums) {                                           \
        /* Keep the compiler from multiplying once for all steps, and from adding up ahead. */      \
        __asm__ volatile("" : "+v"(w));                                                             \
        sum = step;                                                                                 \
        __asm__ volatile("" : "+v"(sum));                                                           \
      }                                                                                             \
    }                                                                                               \
    double total = 0.0;                                                                             \
    _Pragma("GCC unroll 12") for (Vector& sum : sums) total += lane0;                               \
    return total;                                                                                   \
  }

/// sum + eight times the products of w and x: without VNNI, pairs of products are added in 16 bits before
/// they are in 32, eight of them where weights have four bits.
__attribute__((target("avx2"), always_inline)) inline __m256i AddEightPairs(__m256i sum, __m256i w,
                                                                            __m256i x) {
  __m256i pairs = _mm256_setzero_si256();
  _Pragma("GCC unroll 8") for (int i = 0; i < 8; ++i) {
    __m256i products;
    __asm__ volatile("vpmaddubsw %2, %1, %0" : "=x"(products) : "x"(w), "x"(x));
    pairs = _mm256_add_epi16(pairs, products);
  }
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

CONCLAVE_PEAK_LOOP(Int8Avx512, "avx512f,avx512vnni", __m512i, __m512i, _mm512_setzero_si512(),
                   _mm512_set1_epi8(3), _mm512_set1_epi8(-2), _mm512_dpbusd_epi32(sum, w, x),
                   _mm_cvtsi128_si32(_mm512_castsi512_si128(sum)))
CONCLAVE_PEAK_LOOP(Int8AvxVnni, "avx2,avxvnni", __m256i, __m256i, _mm256_setzero_si256(), _mm256_set1_epi8(3),
                   _mm256_set1_epi8(-2), _mm256_dpbusd_avx_epi32(sum, w, x),
                   _mm_cvtsi128_si32(_mm256_castsi256_si128(sum)))
CONCLAVE_PEAK_LOOP(Int8Avx2, "avx2", __m256i, __m256i, _mm256_setzero_si256(), _mm256_set1_epi8(3),
                   _mm256_set1_epi8(-2), AddEightPairs(sum, w, x),
                   _mm_cvtsi128_si32(_mm256_castsi256_si128(sum)))
CONCLAVE_PEAK_LOOP(Int16Sse2, "sse2", __m128i, __m128i, _mm_setzero_si128(), _mm_set1_epi16(3),
                   _mm_set1_epi16(-2), _mm_add_epi32(sum, _mm_madd_epi16(w, x)), _mm_cvtsi128_si32(sum))
// 0x4040 is 3 in bfloat16, 0xC000 is -2.
CONCLAVE_PEAK_LOOP(Bf16Avx512, "avx512f,avx512bf16", __m512, __m512bh, _mm512_setzero_ps(),
                   (__m512bh)_mm512_set1_epi16(0x4040),
                   (__m512bh)_mm512_set1_epi16(static_cast<short>(0xC000)), _mm512_dpbf16_ps(sum, w, x),
                   static_cast<double>(_mm512_cvtss_f32(sum)))
CONCLAVE_PEAK_LOOP(Fp32Avx512, "avx512f", __m512, __m512, _mm512_setzero_ps(), _mm512_set1_ps(3.0f),
                   _mm512_set1_ps(-2.0f), _mm512_fmadd_ps(w, x, sum),
                   static_cast<double>(_mm512_cvtss_f32(sum)))
CONCLAVE_PEAK_LOOP(Fp32Avx2, "avx2,fma", __m256, __m256, _mm256_setzero_ps(), _mm256_set1_ps(3.0f),
                   _mm256_set1_ps(-2.0f), _mm256_fmadd_ps(w, x, sum),
                   static_cast<double>(_mm256_cvtss_f32(sum)))
CONCLAVE_PEAK_LOOP(Fp32Sse2, "sse2", __m128, __m128, _mm_setzero_ps(), _mm_set1_ps(3.0f), _mm_set1_ps(-2.0f),
                   _mm_add_ps(sum, _mm_mul_ps(w, x)), static_cast<double>(_mm_cvtss_f32(sum)))

#undef CONCLAVE_PEAK_LOOP

bool Always() { return true; }
bool HasAvx2() { return __builtin_cpu_supports("avx2") != 0; }
bool HasFma() { return HasAvx2() && __builtin_cpu_supports("fma") != 0; }
bool HasAvxVnni() { return HasAvx2() && __builtin_cpu_supports("avxvnni") != 0; }
bool HasAvx512() { return __builtin_cpu_supports("avx512f") != 0; }
bool HasAvx512Vnni() { return HasAvx512() && __builtin_cpu_supports("avx512vnni") != 0; }
bool HasAvx512Bf16() { return HasAvx512() && __builtin_cpu_supports("avx512bf16") != 0; }

constexpr PeakLoop kInt8Loops[] = {{"vpdpbusd zmm", 16, 4, HasAvx512Vnni, Int8Avx512},
                                   {"vpdpbusd ymm", 8, 4, HasAvxVnni, Int8AvxVnni},
                                   {"vpmaddubsw ymm", 8, 32, HasAvx2, Int8Avx2},
                                   {"pmaddwd xmm (16-bit)", 4, 2, Always, Int16Sse2}};
constexpr PeakLoop kFp32Loops[] = {{"vfmadd zmm", 16, 1, HasAvx512, Fp32Avx512},
                                   {"vfmadd ymm", 8, 1, HasFma, Fp32Avx2},
                                   {"mulps and addps xmm", 4, 1, Always, Fp32Sse2}};
constexpr PeakLoop kBf16Loop = {"vdpbf16ps zmm", 16, 2, HasAvx512Bf16, Bf16Avx512};

template <size_t count>
const PeakLoop& FirstSupported(const PeakLoop (&loops)[count]) {
  for (const PeakLoop& loop : loops) {
    if (loop.supported()) return loop;
  }
  return loops[count - 1];
}

constexpr double kProduct = -6.0;

}  // namespace

double PeakLoop::ExpectedSum(int64_t steps) const {
  return kProduct * static_cast<double>(steps * kPeakChains * products_per_lane);
}

int64_t PeakLoop::Operations(int64_t steps) const {
  return 2 * steps * kPeakChains * lanes * products_per_lane;
}

const PeakLoop& BestPeakLoop(Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::kInt8) return FirstSupported(kInt8Loops);
  if (arithmetic == Arithmetic::kBf16 && kBf16Loop.supported()) return kBf16Loop;
  return FirstSupported(kFp32Loops);
}

}  // namespace conclave::engine
