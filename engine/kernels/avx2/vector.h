#pragma once

#include <cstddef>
#include <cstdint>

#include <immintrin.h>

namespace conclave::engine {

/// Eight float32 lanes. What the functions in kernels/vector/ need of an instruction set.
struct Avx2 {
  using Floats = __m256;
  static constexpr int kLanes = 8;
  /// Queries whose accumulators fit into the registers together: of 32 keys, and of 64 values.
  static constexpr int kScoreQueries = 2;
  static constexpr int kValueQueries = 1;
  /// The same in attention over float32.
  static constexpr int kQueryGroup = 1;

  static Floats Zero() { return _mm256_setzero_ps(); }
  static Floats Set(float x) { return _mm256_set1_ps(x); }
  static Floats Load(const float* p) { return _mm256_loadu_ps(p); }
  static Floats LoadHalf(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Floats LoadBrain(const uint16_t* p) {
    const __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
  }
  static void Store(float* p, Floats x) { _mm256_storeu_ps(p, x); }

  // The first n < kLanes lanes; the others read as 0.
  static __m256i Lane() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
  static __m256i First(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), Lane());
  }
  static Floats LoadFirst(const float* p, int64_t n) { return _mm256_maskload_ps(p, First(n)); }
  static void StoreFirst(float* p, Floats x, int64_t n) { _mm256_maskstore_ps(p, First(n), x); }

  static Floats Add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static Floats Sub(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
  static Floats Mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats Div(Floats a, Floats b) { return _mm256_div_ps(a, b); }
  static Floats Fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static Floats NegatedFma(Floats a, Floats b, Floats c) { return _mm256_fnmadd_ps(a, b, c); }
  // b when either is NaN.
  static Floats Min(Floats a, Floats b) { return _mm256_min_ps(a, b); }
  static Floats Max(Floats a, Floats b) { return _mm256_max_ps(a, b); }
  static Floats Round(Floats x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  /// x * 2^n for whole n in [-252, 254], in two steps because 2^n itself may not be a normal number.
  static Floats Scale(Floats x, Floats n) {
    const __m256i whole = _mm256_cvtps_epi32(n);
    const __m256i first = _mm256_srai_epi32(whole, 1);
    return Mul(Mul(x, PowerOfTwo(first)), PowerOfTwo(_mm256_sub_epi32(whole, first)));
  }
  static Floats PowerOfTwo(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }
  static Floats Floor(Floats x) { return _mm256_floor_ps(x); }
  /// Scale for n <= 0, also where the result is 0; 0 for minus infinity, whatever x is.
  static Floats ScaleDown(Floats x, Floats n) {
    const Floats nothing = _mm256_cmp_ps(n, Set(-200.0f), _CMP_LT_OQ);
    return _mm256_andnot_ps(nothing, Scale(x, Max(Set(-200.0f), n)));
  }
  /// a in lanes [begin, end), b elsewhere.
  static Floats SelectRange(Floats a, Floats b, int64_t begin, int64_t end) {
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(_mm256_andnot_si256(First(begin), First(end))));
  }

  // Pairs of bfloat16 numbers in 32-bit words.
  using Words = __m256i;
  static Words LoadWords(const std::byte* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static Words LoadWordsFirst(const std::byte* p, int64_t n) {
    return _mm256_maskload_epi32(reinterpret_cast<const int*>(p), First(n));
  }
  static Words AndWords(Words a, uint32_t mask) {
    return _mm256_and_si256(a, _mm256_set1_epi32(static_cast<int>(mask)));
  }
  /// One pair for all lanes.
  struct Pair {
    Floats low, high;
  };
  static Pair SetPair(uint32_t pair) {
    const __m256i words = _mm256_set1_epi32(static_cast<int>(pair));
    return {LowOf(words), HighOf(words)};
  }
  static Floats LowOf(Words a) { return _mm256_castsi256_ps(_mm256_slli_epi32(a, 16)); }
  static Floats HighOf(Words a) { return _mm256_castsi256_ps(AndWords(a, 0xFFFF0000u)); }
  /// The higher numbers' products are added first, as vdpbf16ps does.
  static Floats DotPairs(Floats sum, Words a, const Pair& b) {
    return Fma(LowOf(a), b.low, Fma(HighOf(a), b.high, sum));
  }
  /// x rounded to bfloat16, ties to even; x is no NaN with a full payload.
  static Floats RoundBrain(Floats x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i sum = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
    return _mm256_castsi256_ps(AndWords(sum, 0xFFFF0000u));
  }
  /// Stores numbers that RoundBrain has rounded.
  static void StoreBrain(uint16_t* p, Floats x) {
    const __m256i words = _mm256_srli_epi32(_mm256_castps_si256(x), 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
  }

  // Four 8-bit numbers in a 32-bit word.
  static Words SetWord(uint32_t word) { return _mm256_set1_epi32(static_cast<int>(word)); }
  /// sum + the four products of unsigned a and signed b.
  static Words DotQuads(Words sum, Words a, Words b) {
    // vpmaddubsw would saturate.
    const __m256i even_a = _mm256_and_si256(a, _mm256_set1_epi16(0xFF));
    const __m256i even_b = _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8);
    const __m256i even = _mm256_madd_epi16(even_a, even_b);
    const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(a, 8), _mm256_srai_epi16(b, 8));
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
  }
  /// The same with the word at `b` in all lanes.
  static Words DotQuadsAt(Words sum, Words a, const std::byte* b) {
    uint32_t word;
    __builtin_memcpy(&word, b, sizeof word);
    return DotQuads(sum, a, SetWord(word));
  }
  static Words AddWords(Words a, Words b) { return _mm256_add_epi32(a, b); }
  static Words Negate(Words a) { return _mm256_sub_epi32(_mm256_setzero_si256(), a); }
  static Floats ToFloats(Words a) { return _mm256_cvtepi32_ps(a); }
  /// To the nearest integer, ties to even.
  static Words ToWords(Floats x) { return _mm256_cvtps_epi32(x); }
  static Words BitsOf(Floats x) { return _mm256_castps_si256(x); }
  static void StoreWords(void* p, Words a) { _mm256_storeu_si256(static_cast<__m256i*>(p), a); }
  /// Stores each lane's lowest byte.
  static void StoreBytes(uint8_t* p, Words a) {
    const __m256i lowest =
        _mm256_shuffle_epi8(a, _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1,
                                                                         -1, -1, -1, -1, -1, -1)));
    const uint32_t halves[] = {static_cast<uint32_t>(_mm256_extract_epi32(lowest, 0)),
                               static_cast<uint32_t>(_mm256_extract_epi32(lowest, 4))};
    __builtin_memcpy(p, halves, sizeof halves);
  }

  static float FirstLane(Floats x) { return _mm256_cvtss_f32(x); }

  // Sums and maxima are taken in a fixed tree: lanes 4 apart, 2 apart, 1 apart.
  static float Sum(Floats x) {
    const __m128 a = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 b = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_shuffle_ps(b, b, 1)));
  }
  static float Largest(Floats x) {
    const __m128 a = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 b = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_shuffle_ps(b, b, 1)));
  }

  /// Sums of squares in float64, so that no float32 overflows them.
  struct Squares {
    __m256d low = _mm256_setzero_pd();
    __m256d high = _mm256_setzero_pd();
    void Add(Floats x) {
      const __m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(x));
      const __m256d b = _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
      low = _mm256_fmadd_pd(a, a, low);
      high = _mm256_fmadd_pd(b, b, high);
    }
    double Total() const {
      alignas(32) double lanes[4];
      _mm256_store_pd(lanes, _mm256_add_pd(low, high));
      return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
    }
  };

  /// [even lanes of a then b], [odd lanes of a then b]; and back.
  static void Deinterleave(Floats a, Floats b, Floats& even, Floats& odd) {
    const __m256 low = _mm256_permute2f128_ps(a, b, 0x20);
    const __m256 high = _mm256_permute2f128_ps(a, b, 0x31);
    even = _mm256_shuffle_ps(low, high, 0x88);
    odd = _mm256_shuffle_ps(low, high, 0xDD);
  }
  static void Interleave(Floats even, Floats odd, Floats& a, Floats& b) {
    const __m256 low = _mm256_unpacklo_ps(even, odd);
    const __m256 high = _mm256_unpackhi_ps(even, odd);
    a = _mm256_permute2f128_ps(low, high, 0x20);
    b = _mm256_permute2f128_ps(low, high, 0x31);
  }
  /// v[i] lane j becomes v[j] lane i.
  static void Transpose(Floats (&v)[8]) {
    Floats t[8];
    for (int i = 0; i < 8; i += 4) {
      const Floats a = _mm256_unpacklo_ps(v[i], v[i + 1]);
      const Floats b = _mm256_unpackhi_ps(v[i], v[i + 1]);
      const Floats c = _mm256_unpacklo_ps(v[i + 2], v[i + 3]);
      const Floats d = _mm256_unpackhi_ps(v[i + 2], v[i + 3]);
      t[i] = _mm256_shuffle_ps(a, c, 0x44);
      t[i + 1] = _mm256_shuffle_ps(a, c, 0xEE);
      t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
      t[i + 3] = _mm256_shuffle_ps(b, d, 0xEE);
    }
    for (int i = 0; i < 4; ++i) {
      v[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
      v[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
    }
  }
};

}  // namespace conclave::engine
