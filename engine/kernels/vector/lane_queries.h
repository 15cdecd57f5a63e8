#pragma once

#include "engine/kernels/vector/attention_tiles.h"

// Attention with a query a lane, for as many queries as there are lanes that all attend to a whole tile of
// keys: maxima and sums over keys need no shuffles. Bits are those of the way with a key a lane
// (brain_attention.h): a dot product adds its pairs in the same order, and weights are summed in the same
// tree.
namespace conclave::engine {

template <typename V>
struct LaneQueries {
  using Floats = typename V::Floats;
  static constexpr int kLanes = V::kLanes;
  static constexpr int kKeyPairs = kTileKeys / 2;
  /// A tile's pairs of weights are turned as one square.
  static constexpr bool kUsable = kKeyPairs == kLanes;
  static constexpr int kGroups = kTileQueries / kLanes;
  static constexpr int kMostPairs = kMostPairedHeadDim / 2;
  /// Keys whose sums fit into the registers together.
  static constexpr int kKeys = 16;

  /// The queries of an AttentionTile in bfloat16, [group][pair of dims][query].
  struct Queries {
    alignas(64) uint32_t pairs[kGroups][kMostPairs][kLanes];
  };

  /// Scores and weighs a whole group. `keys`: the first pair of the tile's first key; the next pair of dims
  /// lies `stride` bytes on.
  static void Weigh(const AttentionTask& task, const Queries& queries, const std::byte* keys,
                    AttentionTile& all, KeyTile& tile, int q) {
    const int first = tile.index[q];
    alignas(64) float score[kTileKeys][kLanes];
    const int64_t stride = task.block_tokens * 4;
    for (int k = 0; k < kTileKeys; k += kKeys) {
      Dot(queries.pairs[first / kLanes], task.head_dim / 2, keys + k * 4, stride, task.scale, score + k);
    }
    Floats most = V::Set(-__builtin_inff());
    for (const auto& s : score) most = V::Max(V::Load(s), most);
    const Floats largest = V::Load(all.largest + first);
    const Floats now = V::Max(most, largest);
    // While all scores are minus infinity they weigh nothing against what may follow.
    const Floats base = V::Max(now, V::Set(-__FLT_MAX__));
    StoreWeights(base, score, tile, q);
    const Floats rescale = ExpOf<V>(V::Sub(largest, base));
    V::Store(tile.rescale + q, rescale);
    V::Store(all.total + first,
             V::Fma(V::Load(all.total + first), rescale, AttentionTiles<V>::SumOverKeys(score)));
    V::Store(all.largest + first, now);
  }

 private:
  static void Dot(const uint32_t (*query)[kLanes], int64_t pairs, const std::byte* keys, int64_t stride,
                  float scale, float (*score)[kLanes]) {
    Floats sum[kKeys];
    for (int k = 0; k < kKeys; ++k) sum[k] = V::Zero();
    for (int64_t pair = 0; pair < pairs; ++pair, keys += stride) {
      const auto numbers = V::LoadWords(reinterpret_cast<const std::byte*>(query[pair]));
      for (int k = 0; k < kKeys; ++k) {
        uint32_t key;
        __builtin_memcpy(&key, keys + k * 4, sizeof key);
        sum[k] = V::DotPairs(sum[k], numbers, V::SetPair(key));
      }
    }
    for (int k = 0; k < kKeys; ++k) V::Store(score[k], V::Mul(sum[k], V::Set(scale)));
  }

  /// Turns scores into rounded weights, in `score` and in the queries' rows of tile.brain.
  static void StoreWeights(Floats base, float (*score)[kLanes], KeyTile& tile, int q) {
    Floats pairs[kKeyPairs];
    for (int i = 0; i < kKeyPairs; ++i) {
      const Floats low = V::RoundBrain(ExpOf<V, true>(V::Sub(V::Load(score[2 * i]), base)));
      const Floats high = V::RoundBrain(ExpOf<V, true>(V::Sub(V::Load(score[2 * i + 1]), base)));
      V::Store(score[2 * i], low);
      V::Store(score[2 * i + 1], high);
      pairs[i] = V::JoinBrain(low, high);
    }
    V::Transpose(pairs);
    for (int i = 0; i < kLanes; ++i) V::StoreBits(tile.brain[q + i], pairs[i]);
  }
};

}  // namespace conclave::engine
