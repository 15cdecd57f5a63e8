#pragma once

#include "engine/kernels/vector/attention_tiles.h"
#include "engine/kernels/vector/lane_queries.h"

// Attention over keys and values stored as pairs of bfloat16 numbers (attention_task.h), for any vector type
// V. Queries and weights are rounded to bfloat16 too, so that one instruction (vdpbf16ps) multiplies two
// numbers a lane; products are added in float32.
namespace conclave::engine {

template <typename V>
struct BrainAttention {
  using Floats = typename V::Floats;
  using Words = typename V::Words;
  using Tiles = AttentionTiles<V>;
  using Lanes = LaneQueries<V>;
  using Turned = typename Lanes::Queries;
  static constexpr int kKeyVectors = kTileKeys / V::kLanes;
  static constexpr int kDimVectors = kTileDims / V::kLanes;
  static constexpr int kMostPairs = kMostPairedHeadDim / 2;

  /// The queries of an AttentionTile in bfloat16, [query][pair of dims].
  struct Queries {
    alignas(64) uint32_t pairs[kTileQueries][kMostPairs];
  };

  static uint32_t PairOf(const uint16_t* numbers) {
    uint32_t pair;
    __builtin_memcpy(&pair, numbers, sizeof pair);
    return pair;
  }

  static void RoundQueries(const AttentionTask& task, const AttentionTile& tile, Queries& out) {
    for (int q = 0; q < tile.count; ++q) {
      auto* numbers = reinterpret_cast<uint16_t*>(out.pairs[q]);
      // The row's end may hold rounded padding: nothing reads it.
      for (int64_t i = 0; i < task.head_dim; i += V::kLanes) {
        const int64_t left = task.head_dim - i;
        const Floats x =
            left >= V::kLanes ? V::Load(tile.query[q] + i) : V::LoadFirst(tile.query[q] + i, left);
        V::StoreBrain(numbers + i, V::RoundBrain(x));
      }
    }
  }

  /// Dot products of `kQueries` queries with the tile's keys, into their rows of `weight`. `keys`: the first
  /// pair of the first key; the next pair of dims lies `stride` bytes on.
  template <int kQueries>
  static void DotKeys(const uint32_t* const* query, int64_t pairs, const std::byte* keys, int64_t stride,
                      float (*weight)[kTileKeys]) {
    Floats sum[kQueries][kKeyVectors];
    for (int q = 0; q < kQueries; ++q) {
      for (int k = 0; k < kKeyVectors; ++k) sum[q][k] = V::Zero();
    }
    for (int64_t pair = 0; pair < pairs; ++pair, keys += stride) {
      Words key[kKeyVectors];
      for (int k = 0; k < kKeyVectors; ++k) key[k] = V::LoadWords(keys + k * V::kLanes * 4);
      for (int q = 0; q < kQueries; ++q) {
        const auto numbers = V::SetPair(query[q][pair]);
        for (int k = 0; k < kKeyVectors; ++k) sum[q][k] = V::DotPairs(sum[q][k], key[k], numbers);
      }
    }
    for (int q = 0; q < kQueries; ++q) {
      for (int k = 0; k < kKeyVectors; ++k) V::Store(weight[q] + k * V::kLanes, sum[q][k]);
    }
  }

  static const std::byte* KeysOf(const AttentionTask& task, const KeyTile& tile) {
    return task.key_blocks[tile.block] + tile.in_block * 4;
  }

  /// Fills `weight` of the active queries [from, to) with their dot products; what lies beyond the tile's
  /// keys is of no use.
  static void Score(const AttentionTask& task, const Queries& queries, KeyTile& tile, int from, int to) {
    constexpr int kGroup = V::kScoreQueries;
    const int64_t stride = task.block_tokens * 4;
    const std::byte* keys = KeysOf(task, tile);
    const uint32_t* query[kTileQueries];
    for (int q = from; q < to; ++q) query[q] = queries.pairs[tile.index[q]];
    const int64_t pairs = task.head_dim / 2;
    int q = from;
    for (; q + kGroup <= to; q += kGroup) {
      DotKeys<kGroup>(query + q, pairs, keys, stride, tile.weight + q);
    }
    for (; q < to; ++q) DotKeys<1>(query + q, pairs, keys, stride, tile.weight + q);
  }

  /// Some queries of a tile that attend to the same of its keys.
  struct Group {
    const KeyTile& tile;
    int first;  ///< among the active queries
    float* const* out;
    int64_t begin, end;
  };

  /// Adds the values of the group's keys to sums of dims [dim, dim + count), after rescaling these. `values`:
  /// the first pair of the tile; the next pair of keys lies `stride` bytes on.
  template <int kQueries, int kVectors, bool kWhole>
  static void AddValueChunk(const Group& group, const std::byte* values, int64_t stride, int64_t dim,
                            int64_t count) {
    Floats sum[kQueries][kVectors];
    for (int q = 0; q < kQueries; ++q) {
      const Floats rescale = V::Set(group.tile.rescale[group.first + q]);
      for (int i = 0; i < kVectors; ++i) {
        const float* at = group.out[q] + dim + i * V::kLanes;
        sum[q][i] = V::Mul(kWhole ? V::Load(at) : V::LoadFirst(at, count), rescale);
      }
    }
    auto add = [&](int64_t pair, uint32_t mask) {
      Words value[kVectors];
      for (int i = 0; i < kVectors; ++i) {
        const std::byte* at = values + pair * stride + (dim + i * V::kLanes) * 4;
        value[i] = kWhole ? V::LoadWords(at) : V::LoadWordsFirst(at, count);
        if (mask != kBoth) value[i] = V::AndWords(value[i], mask);
      }
      for (int q = 0; q < kQueries; ++q) {
        const auto weights = V::SetPair(PairOf(group.tile.brain[group.first + q] + 2 * pair));
        for (int i = 0; i < kVectors; ++i) sum[q][i] = V::DotPairs(sum[q][i], value[i], weights);
      }
    };
    // A key outside the range weighs 0, but its value may be no number: it must not be read.
    int64_t pair = group.begin / 2;
    if (group.begin % 2 != 0) add(pair++, kHigher);
    for (; pair < group.end / 2; ++pair) add(pair, kBoth);
    if (pair * 2 < group.end) add(pair, kLower);
    for (int q = 0; q < kQueries; ++q) {
      for (int i = 0; i < kVectors; ++i) {
        float* at = group.out[q] + dim + i * V::kLanes;
        if constexpr (kWhole) {
          V::Store(at, sum[q][i]);
        } else {
          V::StoreFirst(at, sum[q][i], count);
        }
      }
    }
  }

  template <int kQueries>
  static void AddValues(const AttentionTask& task, const Group& group) {
    const int64_t stride = task.value_dim * 4;
    const std::byte* values = task.value_blocks[group.tile.block] + group.tile.in_block / 2 * stride;
    int64_t dim = 0;
    for (; dim + kTileDims <= task.value_dim; dim += kTileDims) {
      AddValueChunk<kQueries, kDimVectors, true>(group, values, stride, dim, kTileDims);
    }
    for (; dim + V::kLanes <= task.value_dim; dim += V::kLanes) {
      AddValueChunk<kQueries, 1, true>(group, values, stride, dim, V::kLanes);
    }
    if (dim < task.value_dim) {
      AddValueChunk<kQueries, 1, false>(group, values, stride, dim, task.value_dim - dim);
    }
  }

  /// As many of `count` queries as there are registers for; how many.
  template <int kQueries>
  static int AddSome(const AttentionTask& task, const Group& group, int count) {
    if constexpr (kQueries > 1) {
      if (count < kQueries) return AddSome<kQueries - 1>(task, group, count);
    }
    AddValues<kQueries>(task, group);
    return kQueries;
  }

  /// Queries beside each other that attend to the same keys share the values' loads.
  static void AddAllValues(const AttentionTask& task, const AttentionTile& queries, const KeyTile& tile) {
    for (int q = 0; q < tile.active;) {
      float* out[V::kValueQueries];
      int count = 0;
      while (count < V::kValueQueries && q + count < tile.active && tile.begin[q + count] == tile.begin[q] &&
             tile.end[q + count] == tile.end[q]) {
        out[count] = queries.out[tile.index[q + count]];
        ++count;
      }
      q += AddSome<V::kValueQueries>(task, {tile, q, out, tile.begin[q], tile.end[q]}, count);
    }
  }

  /// Scores and weighs all active queries: with a query a lane where a whole group of them sees the whole
  /// tile, else with a key a lane.
  static void WeighAll(const AttentionTask& task, const Queries& queries, const Turned& turned,
                       AttentionTile& all, KeyTile& tile) {
    for (int q = 0; q < tile.active;) {
      if constexpr (Lanes::kUsable) {
        if (Tiles::WholeGroup(tile, q)) {
          Lanes::Weigh(task, turned, KeysOf(task, tile), all, tile, q);
          q += V::kLanes;
          continue;
        }
      }
      const int group_end = q + V::kLanes - tile.index[q] % V::kLanes;
      const int end = group_end < tile.active ? group_end : tile.active;
      Score(task, queries, tile, q, end);
      Tiles::template WeighAll<true>(task, all, tile, q, end);
      q = end;
    }
  }

  static void Turn(const AttentionTask& task, const AttentionTile& tile, const Queries& queries,
                   Turned& out) {
    if constexpr (Lanes::kUsable) {
      for (int group = 0; (group + 1) * V::kLanes <= tile.count; ++group) {
        Tiles::TurnGroup(queries.pairs + group * V::kLanes, task.head_dim / 2, out.pairs[group]);
      }
    }
  }

  static void Run(const AttentionTask& task) {
    AttentionTile tile;
    Queries queries;
    Turned turned;
    KeyTile keys;
    for (int64_t first = 0; first < task.query_rows * task.heads; first += kTileQueries) {
      Tiles::FillTile(task, first, tile);
      RoundQueries(task, tile, queries);
      Turn(task, tile, queries, turned);
      Tiles::ForEachTile(task, tile, keys, [&](KeyTile& now) {
        WeighAll(task, queries, turned, tile, now);
        AddAllValues(task, tile, now);
      });
      Tiles::Normalise(task, tile);
    }
  }

 private:
  static constexpr uint32_t kBoth = 0xFFFFFFFFu;
  static constexpr uint32_t kHigher = 0xFFFF0000u;
  static constexpr uint32_t kLower = 0x0000FFFFu;
};

}  // namespace conclave::engine
