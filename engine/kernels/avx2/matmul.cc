#include <immintrin.h>

#include "engine/kernels/avx2/sets.h"

// Quantised matmul with vpmaddubsw, which adds pairs of products of unsigned and signed bytes in 16 bits and
// saturates; the comments show why no sum here can. Contract: Kernels::matmul.
namespace conclave::engine::avx2 {
namespace {

constexpr int kTileTokens = 4;
/// A vector holds half of a row group.
constexpr int kLanes = 8;

/// The 32 columns of a block as eight vectors of four columns by eight rows: unsigned nibbles, or bytes less
/// 128.
struct Columns {
  __m256i v[8];
};

template <BlockFormat kFormat>
inline __attribute__((always_inline)) Columns LoadColumns(const std::byte* block, int half) {
  Columns out;
  const auto* at = reinterpret_cast<const __m256i*>(block) + half;
  if constexpr (kFormat.nibbles) {
    const __m256i mask = _mm256_set1_epi8(0x0F);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m256i bytes = _mm256_loadu_si256(at + 2 * i);
      out.v[2 * i] = _mm256_and_si256(bytes, mask);
      out.v[2 * i + 1] = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask);
    }
  } else {
    const __m256i sign = _mm256_set1_epi8(-128);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) out.v[i] = _mm256_xor_si256(_mm256_loadu_si256(at + 2 * i), sign);
  }
  return out;
}

template <BlockFormat kFormat>
inline __attribute__((always_inline)) __m256 LoadScales(const std::byte* block, int run, int half) {
  const std::byte* at = block + kFormat.q_bytes() + run * kFormat.scale_bytes();
  if constexpr (kFormat.float_scales)
    return _mm256_loadu_ps(reinterpret_cast<const float*>(at) + half * kLanes);
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at) + half));
}

inline __attribute__((always_inline)) __m256i Broadcast4(const int8_t* q) {
  int32_t word;
  __builtin_memcpy(&word, q, sizeof word);
  return _mm256_set1_epi32(word);
}

/// The dot product of columns [4 * kFirst, 4 * (kFirst + kCount)) with one token's, less the zero point.
template <BlockFormat kFormat, int kFirst, int kCount>
inline __attribute__((always_inline)) __m256 Dot(const Columns& columns, const int8_t* q, int32_t q_sum) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sum = _mm256_setzero_si256();
  if constexpr (kFormat.nibbles) {
    // Eight pairs: 16 * 15 * 127 = 30480 fits into 16 bits.
#pragma GCC unroll 8
    for (int i = kFirst; i < kFirst + kCount; ++i) {
      sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(columns.v[i], Broadcast4(q + 4 * i)));
    }
    sum = _mm256_madd_epi16(sum, ones);
  } else {
    // |w| <= 128 is unsigned, w's sign goes to x with |x| <= 127: a pair is at most 2 * 128 * 127 = 32512.
#pragma GCC unroll 8
    for (int i = kFirst; i < kFirst + kCount; ++i) {
      const __m256i x = _mm256_sign_epi8(Broadcast4(q + 4 * i), columns.v[i]);
      const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(columns.v[i]), x);
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
  }
  constexpr int kZeroPoint = kFormat.nibbles ? kFormat.zero_point : kFormat.zero_point - 128;
  if constexpr (kZeroPoint != 0) sum = _mm256_sub_epi32(sum, _mm256_set1_epi32(kZeroPoint * q_sum));
  return _mm256_cvtepi32_ps(sum);
}

inline void StoreRows(float* out, __m256 sum, int64_t rows) {
  if (rows >= kLanes) return _mm256_storeu_ps(out, sum);
  float lanes[kLanes];
  _mm256_storeu_ps(lanes, sum);
  for (int64_t i = 0; i < rows; ++i) out[i] = lanes[i];
}

/// Half a group of rows (those from 8 * half) times kTokens tokens from `token`.
template <BlockFormat kFormat, int kTokens>
inline __attribute__((always_inline)) void Tile(const BlockMatmul& task, const std::byte* group, int half,
                                                int64_t token, float* out, int64_t rows) {
  __m256 sum[kTokens];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) sum[t] = _mm256_setzero_ps();
  for (int64_t at = 0; at < task.blocks; ++at) {
    const std::byte* block = group + at * kFormat.bytes();
    const Columns columns = LoadColumns<kFormat>(block, half);
    const __m256 scale = LoadScales<kFormat>(block, 0, half);
    const __m256 second =
        kFormat.offsets || kFormat.half_groups ? LoadScales<kFormat>(block, 1, half) : scale;
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      const int64_t x = (token + t) * task.blocks + at;
      const int8_t* q = task.q + x * kActivationBlock;
      const int32_t* halves = task.half_sums + x * 2;
      const __m256 x_scale = _mm256_set1_ps(task.scales[x]);
      if constexpr (kFormat.half_groups) {
        const __m256 low = Dot<kFormat, 0, 4>(columns, q, halves[0]);
        const __m256 high = Dot<kFormat, 4, 4>(columns, q, halves[1]);
        sum[t] = _mm256_fmadd_ps(_mm256_mul_ps(scale, x_scale), low, sum[t]);
        sum[t] = _mm256_fmadd_ps(_mm256_mul_ps(second, x_scale), high, sum[t]);
      } else {
        const __m256 dot = Dot<kFormat, 0, 8>(columns, q, halves[0] + halves[1]);
        sum[t] = _mm256_fmadd_ps(_mm256_mul_ps(scale, x_scale), dot, sum[t]);
      }
      if constexpr (kFormat.offsets) sum[t] = _mm256_fmadd_ps(second, _mm256_set1_ps(task.sums[x]), sum[t]);
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) StoreRows(out + t * task.out_stride, sum[t], rows);
}

template <int kIndex>
void Rows(const BlockMatmul& task) {
  constexpr BlockFormat kFormat = kBlockFormats[kIndex];
  for (int64_t row = 0; row < task.rows; row += kLanes) {
    const std::byte* group = task.weights + row / kRowGroup * task.group_bytes;
    const int half = static_cast<int>(row % kRowGroup / kLanes);
    const int64_t left = task.rows - row;
    float* out = task.out + row;
    int64_t token = 0;
    for (; token + kTileTokens <= task.tokens; token += kTileTokens) {
      Tile<kFormat, kTileTokens>(task, group, half, token, out + token * task.out_stride, left);
    }
    for (; token < task.tokens; ++token) {
      Tile<kFormat, 1>(task, group, half, token, out + token * task.out_stride, left);
    }
  }
}

}  // namespace

void MatmulBlocks(const BlockMatmul& task) {
  static constexpr void (*kRows[kBlockFormatCount])(const BlockMatmul&) = {
      Rows<0>, Rows<1>, Rows<2>, Rows<3>, Rows<4>, Rows<5>, Rows<6>, Rows<7>};
  kRows[task.format](task);
}

}  // namespace conclave::engine::avx2
