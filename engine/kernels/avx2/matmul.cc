#include <immintrin.h>

#include "engine/kernels/avx2/sets.h"

// Quantised matmul with vpmaddubsw, which adds pairs of products of unsigned and signed bytes in 16 bits and
// saturates. No sum here can: activations are at most 127, and only as many pairs are added in 16 bits as the
// format's largest weight allows (Tile::kPairSums). Contract: Kernels::matmul.
namespace conclave::engine::avx2 {
namespace {

/// A vector holds half of a row group.
constexpr int kLanes = 8;
constexpr int kHalves = kRowGroup / kLanes;
constexpr int kVectorBytes = 32;
constexpr int kLineBytes = 64;
/// Columns of a block that a 32-bit word of activations holds, and such words in a block.
constexpr int kWordColumns = 4;
constexpr int kWords = kActivationBlock / kWordColumns;
constexpr int kTileTokens = 4;
/// How far ahead of the stream of weights to prefetch, for one token (with more, arithmetic hides the loads).
constexpr int64_t kPrefetchBytes = 4096;
/// Activations of this many tokens stay in the second-level cache while all rows pass.
constexpr int64_t kPassBytes = 128 * 1024;

inline __attribute__((always_inline)) __m256i LoadVector(const std::byte* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}

inline __attribute__((always_inline)) __m256i LowNibbles(__m256i bytes) {
  return _mm256_and_si256(bytes, _mm256_set1_epi8(0x0F));
}

inline __attribute__((always_inline)) __m256i HighNibbles(__m256i bytes) {
  return LowNibbles(_mm256_srli_epi16(bytes, 4));
}

/// Run `run` of the block's scales and offsets.
template <BlockFormat kFormat>
inline __attribute__((always_inline)) __m256 LoadScales(const std::byte* block, int run, int half) {
  const std::byte* at = block + kFormat.q_bytes() + run * kFormat.scale_bytes();
  if constexpr (kFormat.float_scales)
    return _mm256_loadu_ps(reinterpret_cast<const float*>(at) + half * kLanes);
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at) + half));
}

inline __attribute__((always_inline)) __m256i BroadcastWord(const int8_t* q) {
  int32_t word;
  __builtin_memcpy(&word, q, sizeof word);
  return _mm256_set1_epi32(word);
}

/// sum += the products' pairs, in 16 bits. Written out because compilers add the products of a block as a
/// tree, which needs more registers than there are.
inline __attribute__((always_inline)) void AddPairs(__m256i& sum, __m256i weights, __m256i x) {
  __m256i pairs;
  asm("vpmaddubsw %[x], %[weights], %[pairs]\n\tvpaddw %[pairs], %[sum], %[sum]"
      : [sum] "+x"(sum), [pairs] "=&x"(pairs)
      : [weights] "x"(weights), [x] "x"(x));
}

/// Pairs in 16 bits to their sums in 32 bits.
inline __attribute__((always_inline)) __m256i SumPairs(__m256i pairs) {
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/// sum += the products in 32 bits. The weights' sign, they being bytes less 128, goes to x: a pair is at most
/// 2 * 128 * 127 = 32512.
inline __attribute__((always_inline)) void AddSigned(__m256i& sum, __m256i weights, __m256i x) {
  const __m256i w = _mm256_xor_si256(weights, _mm256_set1_epi8(-128));
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
  sum = _mm256_add_epi32(sum, SumPairs(pairs));
}

/// A group of rows times kTokens tokens.
template <BlockFormat kFormat, int kTokens>
class Tile {
 public:
  /// Tokens from `token`.
  inline __attribute__((always_inline)) Tile(const BlockMatmul& task, const std::byte* group, int64_t token)
      : task_(task), token_(token) {
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) sum_[t][0] = sum_[t][1] = _mm256_setzero_ps();
    for (int64_t at = 0; at < task.blocks; ++at) {
      const std::byte* block = group + at * kFormat.bytes();
      if constexpr (kTokens == 1) Prefetch(block + kPrefetchBytes);
#pragma GCC unroll 2
      for (int run = 0; run < kRuns; ++run) AddRun(block, run, at);
    }
  }

  /// To out[t * out_stride, first `rows` of the group].
  inline __attribute__((always_inline)) void Store(float* out, int64_t rows) const {
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      float* at = out + t * task_.out_stride;
      StoreHalf(at, sum_[t][0], rows);
      if (rows > kLanes) StoreHalf(at + kLanes, sum_[t][1], rows - kLanes);
    }
  }

 private:
  static constexpr int kRuns = kFormat.half_groups ? 2 : 1;
  static constexpr int kRunWords = kWords / kRuns;
  /// So many pairs of products fit into 16 bits together; none where the sign of weights must be moved.
  static constexpr int kPairSums = 32767 / (2 * 127 * kFormat.most());
  static_assert(kPairSums == 0 || kRunWords % kPairSums == 0);

  /// Integers of a block: [token][half], a lane a row.
  using Dots = __m256i[kTokens][kHalves];

  static inline __attribute__((always_inline)) void Prefetch(const std::byte* block) {
    constexpr int kLines = static_cast<int>((kFormat.bytes() + kLineBytes - 1) / kLineBytes);
#pragma GCC unroll 16
    for (int line = 0; line < kLines; ++line) {
      _mm_prefetch(reinterpret_cast<const char*>(block + line * kLineBytes), _MM_HINT_T0);
    }
  }

  /// The place of block `at` of token `t` of the tile.
  int64_t Place(int t, int64_t at) const { return (token_ + t) * task_.blocks + at; }

  inline __attribute__((always_inline)) __m256i Word(int t, int64_t at, int word) const {
    return BroadcastWord(task_.q + Place(t, at) * kActivationBlock + word * kWordColumns);
  }

  /// The weights of word `word`'s columns: a line holds one word's of all rows, or two words', the first's in
  /// the low nibbles.
  static inline __attribute__((always_inline)) __m256i Weights(const std::byte* block, int word, int half) {
    if constexpr (!kFormat.nibbles) return LoadVector(block + word * kLineBytes + half * kVectorBytes);
    const __m256i bytes = LoadVector(block + word / 2 * kLineBytes + half * kVectorBytes);
    const __m256i nibbles = word % 2 == 0 ? LowNibbles(bytes) : HighNibbles(bytes);
    if constexpr (!kFormat.lookup) return nibbles;
    return _mm256_shuffle_epi8(
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kFp4Numbers))), nibbles);
  }

  inline __attribute__((always_inline)) void AddRun(const std::byte* block, int run, int64_t at) {
    Dots dots;
    Dots pairs;
#pragma GCC unroll 8
    for (int i = 0; i < kRunWords; ++i) {
      const int word = run * kRunWords + i;
      const __m256i weights[kHalves] = {Weights(block, word, 0), Weights(block, word, 1)};
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) {
        const __m256i x = Word(t, at, word);
#pragma GCC unroll 2
        for (int half = 0; half < kHalves; ++half) {
          if (i == 0) dots[t][half] = _mm256_setzero_si256();
          if constexpr (kPairSums == 0) {
            AddSigned(dots[t][half], weights[half], x);
          } else {
            if (i % kPairSums == 0) pairs[t][half] = _mm256_setzero_si256();
            AddPairs(pairs[t][half], weights[half], x);
            if (i % kPairSums == kPairSums - 1) {
              dots[t][half] = _mm256_add_epi32(dots[t][half], SumPairs(pairs[t][half]));
            }
          }
        }
      }
    }
    AddScaled(block, run, dots, at);
  }

  /// Adds a run's products, less the zero point's share, with their scales.
  inline __attribute__((always_inline)) void AddScaled(const std::byte* block, int run, const Dots& dots,
                                                       int64_t at) {
    const __m256 scales[kHalves] = {LoadScales<kFormat>(block, run, 0), LoadScales<kFormat>(block, run, 1)};
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      const int64_t place = Place(t, at);
      const __m256 x_scale = _mm256_set1_ps(task_.scales[place]);
      const int32_t* halves = task_.half_sums + place * 2;
      const int32_t q_sum = kFormat.half_groups ? halves[run] : halves[0] + halves[1];
#pragma GCC unroll 2
      for (int half = 0; half < kHalves; ++half) {
        __m256i dot = dots[t][half];
        if constexpr (kFormat.zero_point != 0) {
          constexpr int kZeroPoint = kPairSums == 0 ? kFormat.zero_point - 128 : kFormat.zero_point;
          if constexpr (kZeroPoint != 0) dot = _mm256_sub_epi32(dot, _mm256_set1_epi32(kZeroPoint * q_sum));
        }
        sum_[t][half] =
            _mm256_fmadd_ps(_mm256_mul_ps(scales[half], x_scale), _mm256_cvtepi32_ps(dot), sum_[t][half]);
      }
    }
    if constexpr (kFormat.offsets) AddOffsets(block, at);
  }

  inline __attribute__((always_inline)) void AddOffsets(const std::byte* block, int64_t at) {
    const __m256 offsets[kHalves] = {LoadScales<kFormat>(block, 1, 0), LoadScales<kFormat>(block, 1, 1)};
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      const __m256 x_sum = _mm256_set1_ps(task_.sums[Place(t, at)]);
#pragma GCC unroll 2
      for (int half = 0; half < kHalves; ++half) {
        sum_[t][half] = _mm256_fmadd_ps(offsets[half], x_sum, sum_[t][half]);
      }
    }
  }

  static void StoreHalf(float* out, __m256 sum, int64_t rows) {
    if (rows >= kLanes) return _mm256_storeu_ps(out, sum);
    float lanes[kLanes];
    _mm256_storeu_ps(lanes, sum);
    for (int64_t i = 0; i < rows; ++i) out[i] = lanes[i];
  }

  const BlockMatmul& task_;
  const int64_t token_;
  __m256 sum_[kTokens][kHalves];
};

template <BlockFormat kFormat, int kTokens>
void RunTile(const BlockMatmul& task, const std::byte* group, int64_t row, int64_t token) {
  Tile<kFormat, kTokens>(task, group, token).Store(task.out + row + token * task.out_stride, task.rows - row);
}

template <int kIndex>
void Rows(const BlockMatmul& task) {
  constexpr BlockFormat kFormat = kBlockFormats[kIndex];
  ForEachPass(task, kPassBytes, kTileTokens, [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < task.rows; row += kRowGroup) {
      const std::byte* group = task.weights + row / kRowGroup * task.group_bytes;
      int64_t token = begin;
      for (; token + kTileTokens <= end; token += kTileTokens) {
        RunTile<kFormat, kTileTokens>(task, group, row, token);
      }
      for (; token + 2 <= end; token += 2) RunTile<kFormat, 2>(task, group, row, token);
      if (token < end) RunTile<kFormat, 1>(task, group, row, token);
    }
  });
}

}  // namespace

void MatmulBlocks(const BlockMatmul& task) {
  static constexpr void (*kRows[kBlockFormatCount])(const BlockMatmul&) = {
      Rows<0>, Rows<1>, Rows<2>, Rows<3>, Rows<4>, Rows<5>, Rows<6>, Rows<7>, Rows<8>};
  kRows[task.format](task);
}

}  // namespace conclave::engine::avx2
