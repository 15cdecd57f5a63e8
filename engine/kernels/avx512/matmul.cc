#include <immintrin.h>

#include "engine/kernels/avx512/sets.h"

// Quantised matmul with VNNI: vpdpbusd multiplies unsigned weight bytes by signed activation bytes, four
// columns of sixteen rows at a time. Contract: Kernels::matmul.
namespace conclave::engine::avx512 {
namespace {

constexpr int kTileTokens = 8;
/// How far ahead of the stream of weights to prefetch, for one token (with more, arithmetic hides the loads).
constexpr int64_t kPrefetchBytes = 4096;
/// Activations of this many tokens stay in the second-level cache while all rows pass.
constexpr int64_t kPassBytes = 256 * 1024;

/// The 32 columns of a block as eight vectors of four columns by sixteen rows.
struct Columns {
  __m512i v[8];
};

template <BlockFormat kFormat>
inline __attribute__((always_inline)) Columns LoadColumns(const std::byte* block) {
  Columns out;
  if constexpr (kFormat.nibbles) {
    const __m512i mask = _mm512_set1_epi8(0x0F);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m512i bytes = _mm512_loadu_si512(block + i * 64);
      out.v[2 * i] = _mm512_and_si512(bytes, mask);
      out.v[2 * i + 1] = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), mask);
    }
    if constexpr (kFormat.lookup) {
      const __m512i numbers =
          _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kFp4Numbers)));
#pragma GCC unroll 8
      for (__m512i& v : out.v) v = _mm512_shuffle_epi8(numbers, v);
    }
  } else {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) out.v[i] = _mm512_loadu_si512(block + i * 64);
  }
  return out;
}

/// Run `run` of the block's scales and offsets.
template <BlockFormat kFormat>
inline __attribute__((always_inline)) __m512 LoadScales(const std::byte* block, int run) {
  const std::byte* at = block + kFormat.q_bytes() + run * kFormat.scale_bytes();
  if constexpr (kFormat.float_scales) return _mm512_loadu_ps(at);
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
}

inline __attribute__((always_inline)) __m512i Broadcast4(const int8_t* q) {
  int32_t word;
  __builtin_memcpy(&word, q, sizeof word);
  return _mm512_set1_epi32(word);
}

/// The dot product of columns [4 * kFirst, 4 * (kFirst + kCount)) with one token's, less the zero point.
template <int kFirst, int kCount, int kZeroPoint>
inline __attribute__((always_inline)) __m512 Dot(const Columns& columns, const int8_t* q, int32_t q_sum) {
  // Two chains: the latency of one would be exposed when there is one token.
  __m512i even = _mm512_setzero_si512();
  __m512i odd = kZeroPoint == 0 ? _mm512_setzero_si512() : _mm512_set1_epi32(-kZeroPoint * q_sum);
#pragma GCC unroll 4
  for (int i = kFirst; i < kFirst + kCount; i += 2) {
    even = _mm512_dpbusd_epi32(even, columns.v[i], Broadcast4(q + 4 * i));
    odd = _mm512_dpbusd_epi32(odd, columns.v[i + 1], Broadcast4(q + 4 * i + 4));
  }
  return _mm512_cvtepi32_ps(_mm512_add_epi32(even, odd));
}

/// One group of rows times kTokens tokens from `token`.
template <BlockFormat kFormat, int kTokens>
inline __attribute__((always_inline)) void Tile(const BlockMatmul& task, const std::byte* group,
                                                int64_t token, float* out, __mmask16 rows) {
  __m512 sum[kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) sum[t] = _mm512_setzero_ps();
  const int64_t first = token * task.blocks;
  for (int64_t at = 0; at < task.blocks; ++at) {
    const std::byte* block = group + at * kFormat.bytes();
    if constexpr (kTokens == 1) {
      constexpr int kLines = static_cast<int>((kFormat.bytes() + 63) / 64);
#pragma GCC unroll 16
      for (int line = 0; line < kLines; ++line) {
        _mm_prefetch(reinterpret_cast<const char*>(block + kPrefetchBytes + line * 64), _MM_HINT_T0);
      }
    }
    const Columns columns = LoadColumns<kFormat>(block);
    const __m512 scale = LoadScales<kFormat>(block, 0);
    const __m512 second = kFormat.offsets || kFormat.half_groups ? LoadScales<kFormat>(block, 1) : scale;
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const int64_t x = first + t * task.blocks + at;
      const int8_t* q = task.q + x * kActivationBlock;
      const int32_t* halves = task.half_sums + x * 2;
      const __m512 x_scale = _mm512_set1_ps(task.scales[x]);
      if constexpr (kFormat.half_groups) {
        const __m512 low = Dot<0, 4, kFormat.zero_point>(columns, q, halves[0]);
        const __m512 high = Dot<4, 4, kFormat.zero_point>(columns, q, halves[1]);
        sum[t] = _mm512_fmadd_ps(_mm512_mul_ps(scale, x_scale), low, sum[t]);
        sum[t] = _mm512_fmadd_ps(_mm512_mul_ps(second, x_scale), high, sum[t]);
      } else {
        const int32_t q_sum = kFormat.zero_point == 0 ? 0 : halves[0] + halves[1];
        const __m512 dot = Dot<0, 8, kFormat.zero_point>(columns, q, q_sum);
        sum[t] = _mm512_fmadd_ps(_mm512_mul_ps(scale, x_scale), dot, sum[t]);
      }
      if constexpr (kFormat.offsets) sum[t] = _mm512_fmadd_ps(second, _mm512_set1_ps(task.sums[x]), sum[t]);
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) _mm512_mask_storeu_ps(out + t * task.out_stride, rows, sum[t]);
}

/// One group of rows times tokens [begin, end).
template <BlockFormat kFormat>
void Group(const BlockMatmul& task, const std::byte* group, int64_t begin, int64_t end, float* out,
           __mmask16 rows) {
  int64_t token = begin;
  for (; token + kTileTokens <= end; token += kTileTokens) {
    Tile<kFormat, kTileTokens>(task, group, token, out + token * task.out_stride, rows);
  }
  for (; token + 4 <= end; token += 4)
    Tile<kFormat, 4>(task, group, token, out + token * task.out_stride, rows);
  for (; token + 2 <= end; token += 2)
    Tile<kFormat, 2>(task, group, token, out + token * task.out_stride, rows);
  if (token < end) Tile<kFormat, 1>(task, group, token, out + token * task.out_stride, rows);
}

template <int kIndex>
void Rows(const BlockMatmul& task) {
  constexpr BlockFormat kFormat = kBlockFormats[kIndex];
  ForEachPass(task, kPassBytes, kTileTokens, [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < task.rows; row += kRowGroup) {
      const int64_t left = task.rows - row;
      const auto rows = static_cast<__mmask16>(left >= kRowGroup ? 0xFFFF : (1u << left) - 1);
      Group<kFormat>(task, task.weights + row / kRowGroup * task.group_bytes, begin, end, task.out + row,
                     rows);
    }
  });
}

}  // namespace

void MatmulBlocks(const BlockMatmul& task) {
  static constexpr void (*kRows[kBlockFormatCount])(const BlockMatmul&) = {
      Rows<0>, Rows<1>, Rows<2>, Rows<3>, Rows<4>, Rows<5>, Rows<6>, Rows<7>, Rows<8>};
  kRows[task.format](task);
}

}  // namespace conclave::engine::avx512
