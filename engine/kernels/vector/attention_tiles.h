#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/attention_task.h"
#include "engine/kernels/vector/exp.h"

// What attention over either storage shares: an online softmax (arXiv 1805.02867) over tiles of 32 keys that
// follow the storage blocks, so that the order of a row's sums depends on its own position only. A query is
// one head of one row; queries are taken in tiles so that a tile of keys is loaded once for all of them.
namespace conclave::engine {

inline constexpr int kTileKeys = 32;
inline constexpr int kTileDims = 64;
inline constexpr int kTileQueries = 48;

/// The queries of a tile and how far each has come: out holds its weighted values so far, `total` its
/// weights' sum, both relative to e^largest.
struct AttentionTile {
  int count = 0;
  const float* query[kTileQueries];
  float* out[kTileQueries];
  int64_t begin[kTileQueries];  ///< first position it attends to
  int64_t end[kTileQueries];
  float largest[kTileQueries];
  float total[kTileQueries];
};

/// One tile of keys, and the queries that attend to some of it.
struct KeyTile {
  int64_t position = 0;  ///< of its first key
  int64_t keys = 0;
  int64_t block = 0;     ///< its storage block
  int64_t in_block = 0;  ///< its first key's place there
  int active = 0;
  bool whole = false;           ///< all queries attend to all of its keys
  int index[kTileQueries];      ///< place in AttentionTile
  int64_t begin[kTileQueries];  ///< first key it attends to, in [0, keys)
  int64_t end[kTileQueries];
  float rescale[kTileQueries];  ///< what its earlier sums must be multiplied by
  alignas(64) float weight[kTileQueries][kTileKeys];
  alignas(64) uint16_t brain[kTileQueries][kTileKeys];  ///< the weights as bfloat16, where values are
};

template <typename V>
struct AttentionTiles {
  using Floats = typename V::Floats;
  static constexpr int kLanes = V::kLanes;
  static constexpr int kKeyVectors = kTileKeys / kLanes;

  /// `sink_scale`: of the sinks, where scores are in other units.
  static void FillTile(const AttentionTask& task, int64_t first, AttentionTile& tile,
                       float sink_scale = 1.0f) {
    const int64_t left = task.query_rows * task.heads - first;
    tile.count = static_cast<int>(left < kTileQueries ? left : kTileQueries);
    for (int q = 0; q < tile.count; ++q) {
      const int64_t row = (first + q) / task.heads;
      const int64_t head = (first + q) % task.heads;
      tile.query[q] = task.queries + row * task.query_stride + head * task.head_dim;
      tile.out[q] = task.out + row * task.out_stride + head * task.value_dim;
      tile.end[q] = task.first_position + row + 1;
      tile.begin[q] = task.window > 0 && tile.end[q] > task.window ? tile.end[q] - task.window : 0;
      // A sink is a key that came before all others, without a value.
      tile.largest[q] = task.sinks == nullptr ? -__builtin_inff() : task.sinks[head] * sink_scale;
      tile.total[q] = task.sinks == nullptr ? 0.0f : 1.0f;
      for (int64_t i = 0; i < task.value_dim; ++i) tile.out[q][i] = 0.0f;
    }
  }

  static void Normalise(const AttentionTask& task, const AttentionTile& tile) {
    for (int q = 0; q < tile.count; ++q) {
      for (int64_t i = 0; i < task.value_dim; ++i) tile.out[q][i] /= tile.total[q];
    }
  }

  /// Finds the queries that attend to the tile; whether there are any.
  static bool Activate(const AttentionTile& queries, KeyTile& tile) {
    // Rows ascend, so the last query begins last and the first one ends first.
    const bool whole = tile.keys == kTileKeys && queries.begin[queries.count - 1] <= tile.position &&
                       queries.end[0] >= tile.position + kTileKeys;
    if (whole && tile.whole) return true;  // as the tile before
    tile.whole = whole;
    tile.active = 0;
    for (int q = 0; q < queries.count; ++q) {
      const int64_t begin = queries.begin[q] - tile.position;
      const int64_t end = queries.end[q] - tile.position;
      if (end <= 0 || begin >= tile.keys) continue;
      tile.index[tile.active] = q;
      tile.begin[tile.active] = begin < 0 ? 0 : begin;
      tile.end[tile.active] = end > tile.keys ? tile.keys : end;
      ++tile.active;
    }
    return tile.active > 0;
  }

  /// Calls step(tile) for every tile of keys that some query attends to.
  template <typename Step>
  static void ForEachTile(const AttentionTask& task, const AttentionTile& queries, KeyTile& tile, Step step) {
    // Rows ascend, so the first query begins first and the last one ends last.
    const int64_t end = queries.end[queries.count - 1];
    tile.whole = false;
    for (int64_t block = queries.begin[0] / task.block_tokens; block * task.block_tokens < end; ++block) {
      for (int64_t at = 0; at < task.block_tokens; at += kTileKeys) {
        tile.position = block * task.block_tokens + at;
        if (tile.position >= end) break;
        const int64_t in_block = task.block_tokens - at < kTileKeys ? task.block_tokens - at : kTileKeys;
        tile.keys = end - tile.position < in_block ? end - tile.position : in_block;
        tile.block = block;
        tile.in_block = at;
        if (Activate(queries, tile)) step(tile);
      }
    }
  }

  /// Turns scores of the active queries [from, to) into weights; with `kBrain` they are rounded to bfloat16.
  template <bool kBrain>
  static void WeighAll(const AttentionTask& task, AttentionTile& queries, KeyTile& tile, int from, int to) {
    for (int q = from; q < to; ++q) Weigh<kBrain>(task.scale, tile, q, queries, tile.index[q]);
  }

  // With a query a lane.

  /// Turns the first `words` words of a group's rows, one row a query, into words of all queries.
  template <int kMostWords>
  static void TurnGroup(const uint32_t (*rows)[kMostWords], int64_t words, uint32_t (*turned)[kLanes]) {
    for (int64_t word = 0; word < words; word += kLanes) {
      Floats square[kLanes];
      for (int q = 0; q < kLanes; ++q) square[q] = V::LoadBits(rows[q] + word);
      V::Transpose(square);
      for (int i = 0; i < kLanes; ++i) V::StoreBits(turned[word + i], square[i]);
    }
  }

  /// Whether the active query `q` begins a group whose queries all attend to the whole tile. Rows ascend, so
  /// its last one begins last and its first one ends first.
  static bool WholeGroup(const KeyTile& tile, int q) {
    const int last = q + kLanes - 1;
    return tile.index[q] % kLanes == 0 && last < tile.active && tile.begin[last] == 0 &&
           tile.end[q] == kTileKeys;
  }

  /// In the order in which a vector of keys is summed: keys 16 apart, 8 apart, and so on.
  static Floats SumOverKeys(const float (*weight)[kLanes]) {
    Floats sum[kTileKeys / 2];
    for (int k = 0; k < kTileKeys / 2; ++k) {
      sum[k] = V::Add(V::Load(weight[k]), V::Load(weight[k + kTileKeys / 2]));
    }
    for (int apart = kTileKeys / 4; apart > 0; apart /= 2) {
      for (int k = 0; k < apart; ++k) sum[k] = V::Add(sum[k], sum[k + apart]);
    }
    return sum[0];
  }

  /// `lane` as the end of a range of lanes.
  static int64_t Within(int64_t lane) { return lane < 0 ? 0 : lane > kLanes ? kLanes : lane; }

 private:
  /// Turns a query's scores into weights e^(score - largest so far), 0 outside its keys, and updates its
  /// total.
  template <bool kBrain>
  static void Weigh(float scale, KeyTile& tile, int q, AttentionTile& queries, int at) {
    const Floats minus_infinity = V::Set(-__builtin_inff());
    Floats score[kKeyVectors];
    Floats most = minus_infinity;
    for (int k = 0; k < kKeyVectors; ++k) {
      const int64_t from = Within(tile.begin[q] - k * V::kLanes);
      const int64_t to = Within(tile.end[q] - k * V::kLanes);
      score[k] = V::Mul(V::Load(tile.weight[q] + k * V::kLanes), V::Set(scale));
      score[k] = V::SelectRange(score[k], minus_infinity, from, to);
      most = V::Max(score[k], most);
    }
    const float here = V::Largest(most);
    const float largest = queries.largest[at];
    const float now = here > largest ? here : largest;
    // While all scores are minus infinity they weigh nothing against what may follow.
    const float base = now == -__builtin_inff() ? 0.0f : now;
    Floats sum = V::Zero();
    for (int k = 0; k < kKeyVectors; ++k) {
      Floats e = ExpOf<V, kBrain>(V::Sub(score[k], V::Set(base)));
      if constexpr (kBrain) {
        e = V::RoundBrain(e);
        V::StoreBrain(tile.brain[q] + k * V::kLanes, e);
      } else {
        V::Store(tile.weight[q] + k * V::kLanes, e);
      }
      sum = V::Add(sum, e);
    }
    tile.rescale[q] = largest == base ? 1.0f : V::FirstLane(ExpOf<V>(V::Set(largest - base)));
    queries.total[at] = __builtin_fmaf(queries.total[at], tile.rescale[q], V::Sum(sum));
    queries.largest[at] = now;
  }
};

}  // namespace conclave::engine
