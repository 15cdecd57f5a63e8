#pragma once

#include <cstddef>
#include <cstdint>

#include <immintrin.h>

namespace conclave::engine {

/// Sixteen float32 lanes. What the functions in kernels/vector/ need of an instruction set.
struct Avx512 {
  using Floats = __m512;
  static constexpr int kLanes = 16;
  /// Queries whose accumulators fit into the registers together: of 32 keys, and of 64 values.
  static constexpr int kScoreQueries = 8;
  static constexpr int kValueQueries = 6;
  /// The same in attention over float32.
  static constexpr int kQueryGroup = 4;

  static Floats Zero() { return _mm512_setzero_ps(); }
  static Floats Set(float x) { return _mm512_set1_ps(x); }
  static Floats Load(const float* p) { return _mm512_loadu_ps(p); }
  static Floats LoadHalf(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Floats LoadBrain(const uint16_t* p) {
    const __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
  }
  static void Store(float* p, Floats x) { _mm512_storeu_ps(p, x); }

  // The first n < kLanes lanes; the others read as 0.
  static __mmask16 First(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
  static Floats LoadFirst(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(First(n), p); }
  static void StoreFirst(float* p, Floats x, int64_t n) { _mm512_mask_storeu_ps(p, First(n), x); }

  static Floats Add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  /// The compiler puts a sum off until it is needed, and keeps both numbers until then: not this one.
  static Floats AddNow(Floats a, Floats b) {
    Floats sum = Add(a, b);
    asm("" : "+v"(sum));
    return sum;
  }
  static Floats Sub(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
  static Floats Mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats Div(Floats a, Floats b) { return _mm512_div_ps(a, b); }
  static Floats Fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  static Floats NegatedFma(Floats a, Floats b, Floats c) { return _mm512_fnmadd_ps(a, b, c); }
  // b when either is NaN.
  static Floats Min(Floats a, Floats b) { return _mm512_min_ps(a, b); }
  static Floats Max(Floats a, Floats b) { return _mm512_max_ps(a, b); }
  static Floats Round(Floats x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  /// x * 2^n for whole n.
  static Floats Scale(Floats x, Floats n) { return _mm512_scalef_ps(x, n); }
  static Floats Floor(Floats x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  /// Scale for n <= 0, also where the result is 0; 0 for minus infinity, whatever x is.
  static Floats ScaleDown(Floats x, Floats n) { return Scale(x, n); }
  /// a in lanes [begin, end), b elsewhere.
  static Floats SelectRange(Floats a, Floats b, int64_t begin, int64_t end) {
    const auto mask = static_cast<__mmask16>((1u << end) - (1u << begin));
    return _mm512_mask_mov_ps(b, mask, a);
  }

  // Pairs of bfloat16 numbers in 32-bit words.
  using Words = __m512i;
  static Words LoadWords(const std::byte* p) { return _mm512_loadu_si512(p); }
  static Words LoadWordsFirst(const std::byte* p, int64_t n) { return _mm512_maskz_loadu_epi32(First(n), p); }
  static Words AndWords(Words a, uint32_t mask) {
    return _mm512_and_si512(a, _mm512_set1_epi32(static_cast<int>(mask)));
  }
  /// One pair for all lanes.
  struct Pair {
    Floats low, high;
  };
  static Pair SetPair(uint32_t pair) {
    const __m512i words = _mm512_set1_epi32(static_cast<int>(pair));
    return {LowOf(words), HighOf(words)};
  }
  static Floats LowOf(Words a) { return _mm512_castsi512_ps(_mm512_slli_epi32(a, 16)); }
  static Floats HighOf(Words a) { return _mm512_castsi512_ps(AndWords(a, 0xFFFF0000u)); }
  /// The higher numbers' products are added first, as vdpbf16ps does.
  static Floats DotPairs(Floats sum, Words a, const Pair& b) {
    return Fma(LowOf(a), b.low, Fma(HighOf(a), b.high, sum));
  }
  /// x rounded to bfloat16, ties to even; x is no NaN with a full payload.
  static Floats RoundBrain(Floats x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i sum = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    return _mm512_castsi512_ps(AndWords(sum, 0xFFFF0000u));
  }
  /// Stores numbers that RoundBrain has rounded.
  static void StoreBrain(uint16_t* p, Floats x) {
    const __m512i words = _mm512_srli_epi32(_mm512_castps_si512(x), 16);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(words));
  }

  /// The pairs (low, high) of numbers that RoundBrain has rounded, as bits.
  static Floats JoinBrain(Floats low, Floats high) {
    const __m512i lower = _mm512_srli_epi32(_mm512_castps_si512(low), 16);
    return _mm512_castsi512_ps(_mm512_or_si512(lower, _mm512_castps_si512(high)));
  }
  /// Lanes that hold something else than numbers.
  static Floats LoadBits(const void* p) { return _mm512_castsi512_ps(_mm512_loadu_si512(p)); }
  static void StoreBits(void* p, Floats x) { _mm512_storeu_si512(p, _mm512_castps_si512(x)); }

  // Four 8-bit numbers in a 32-bit word.
  static Words SetWord(uint32_t word) { return _mm512_set1_epi32(static_cast<int>(word)); }
  /// sum + the four products of unsigned a and signed b. Written out because GCC 12 copies the sums from
  /// register to register around the intrinsic.
  static Words DotQuads(Words sum, Words a, Words b) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
  }
  /// The same with the word at `b` in all lanes.
  static Words DotQuadsAt(Words sum, Words a, const std::byte* b) {
    using Word __attribute__((may_alias)) = uint32_t;
    asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(a), "m"(*reinterpret_cast<const Word*>(b)));
    return sum;
  }
  static Words AddWords(Words a, Words b) { return _mm512_add_epi32(a, b); }
  static Words Negate(Words a) { return _mm512_sub_epi32(_mm512_setzero_si512(), a); }
  static Floats ToFloats(Words a) { return _mm512_cvtepi32_ps(a); }
  /// To the nearest integer, ties to even.
  static Words ToWords(Floats x) { return _mm512_cvtps_epi32(x); }
  static Words BitsOf(Floats x) { return _mm512_castps_si512(x); }
  static void StoreWords(void* p, Words a) { _mm512_storeu_si512(p, a); }
  /// Stores each lane's lowest byte.
  static void StoreBytes(uint8_t* p, Words a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a));
  }
  /// The lowest bytes of four words as one.
  static Words JoinBytes(Words a, Words b, Words c, Words d) {
    constexpr int kSelect = 0xCA;  // the first one's bits choose
    const __m512i low =
        _mm512_ternarylogic_epi32(_mm512_set1_epi32(0xFF), a, _mm512_slli_epi32(b, 8), kSelect);
    const __m512i high =
        _mm512_ternarylogic_epi32(_mm512_set1_epi32(0xFF), c, _mm512_slli_epi32(d, 8), kSelect);
    return _mm512_ternarylogic_epi32(_mm512_set1_epi32(0xFFFF), low, _mm512_slli_epi32(high, 16), kSelect);
  }

  static float FirstLane(Floats x) { return _mm512_cvtss_f32(x); }

  // Sums and maxima are taken in a fixed tree: lanes 8 apart, 4 apart, 2 apart, 1 apart.
  static float Sum(Floats x) {
    x = Add(x, _mm512_shuffle_f32x4(x, x, 0x4E));
    x = Add(x, _mm512_shuffle_f32x4(x, x, 0xB1));
    x = Add(x, _mm512_permute_ps(x, 0x4E));
    return _mm512_cvtss_f32(Add(x, _mm512_permute_ps(x, 0xB1)));
  }
  static float Largest(Floats x) {
    x = Max(x, _mm512_shuffle_f32x4(x, x, 0x4E));
    x = Max(x, _mm512_shuffle_f32x4(x, x, 0xB1));
    x = Max(x, _mm512_permute_ps(x, 0x4E));
    return _mm512_cvtss_f32(Max(x, _mm512_permute_ps(x, 0xB1)));
  }

  /// Sums of squares in float64, so that no float32 overflows them.
  struct Squares {
    __m512d low = _mm512_setzero_pd();
    __m512d high = _mm512_setzero_pd();
    void Add(Floats x) {
      const __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(x));
      const __m512d b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
      low = _mm512_fmadd_pd(a, a, low);
      high = _mm512_fmadd_pd(b, b, high);
    }
    double Total() const {
      alignas(64) double lanes[8];
      _mm512_store_pd(lanes, _mm512_add_pd(low, high));
      return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) +
             ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
    }
  };

  /// [even lanes of a then b], [odd lanes of a then b]; and back.
  static void Deinterleave(Floats a, Floats b, Floats& even, Floats& odd) {
    const __m512i pick = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    even = _mm512_permutex2var_ps(a, pick, b);
    odd = _mm512_permutex2var_ps(a, _mm512_add_epi32(pick, _mm512_set1_epi32(1)), b);
  }
  static void Interleave(Floats even, Floats odd, Floats& a, Floats& b) {
    const __m512i pick = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    a = _mm512_permutex2var_ps(even, pick, odd);
    b = _mm512_permutex2var_ps(even, _mm512_add_epi32(pick, _mm512_set1_epi32(8)), odd);
  }

  /// v[i] lane j becomes v[j] lane i.
  static void Transpose(Floats (&v)[16]) {
    Floats t[16];
    for (int i = 0; i < 16; i += 4) {
      const Floats a = _mm512_unpacklo_ps(v[i], v[i + 1]);
      const Floats b = _mm512_unpackhi_ps(v[i], v[i + 1]);
      const Floats c = _mm512_unpacklo_ps(v[i + 2], v[i + 3]);
      const Floats d = _mm512_unpackhi_ps(v[i + 2], v[i + 3]);
      t[i] = _mm512_shuffle_ps(a, c, 0x44);
      t[i + 1] = _mm512_shuffle_ps(a, c, 0xEE);
      t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
      t[i + 3] = _mm512_shuffle_ps(b, d, 0xEE);
    }
    for (int i = 0; i < 4; ++i) {
      const Floats a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88);
      const Floats b = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xDD);
      const Floats c = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88);
      const Floats d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xDD);
      v[i] = _mm512_shuffle_f32x4(a, c, 0x88);
      v[i + 8] = _mm512_shuffle_f32x4(a, c, 0xDD);
      v[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
      v[i + 12] = _mm512_shuffle_f32x4(b, d, 0xDD);
    }
  }
};

}  // namespace conclave::engine
