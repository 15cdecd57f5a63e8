#pragma once

#include "engine/kernels/vector/attention_tiles.h"

// Attention over keys and values in float32, for any vector type V.
namespace conclave::engine {

template <typename V>
struct FloatAttention {
  using Floats = typename V::Floats;
  using Tiles = AttentionTiles<V>;
  static constexpr int kKeyVectors = kTileKeys / V::kLanes;
  static constexpr int kDimVectors = kTileDims / V::kLanes;

  static Floats LoadRow(const std::byte* row, int64_t at, int64_t count) {
    const auto* p = reinterpret_cast<const float*>(row) + at;
    return count >= V::kLanes ? V::Load(p) : V::LoadFirst(p, count);
  }

  /// The tile's first key or value, of rows of `width` numbers.
  static const std::byte* RowsOf(const std::byte* const* blocks, const KeyTile& tile, int64_t width) {
    return blocks[tile.block] + tile.in_block * width * 4;
  }

  /// Numbers [dim, dim + dims) of the tile's keys as [dim][key]; missing keys are 0.
  static void TransposeKeys(const AttentionTask& task, const KeyTile& tile, int64_t dim, int64_t dims,
                            float* out) {
    const std::byte* rows = RowsOf(task.key_blocks, tile, task.head_dim);
    const int64_t stride = task.head_dim * 4;
    for (int64_t key = 0; key < kTileKeys; key += V::kLanes) {
      for (int64_t d = 0; d < dims; d += V::kLanes) {
        Floats v[V::kLanes];
        for (int i = 0; i < V::kLanes; ++i) {
          v[i] = key + i < tile.keys ? LoadRow(rows + (key + i) * stride, dim + d, dims - d) : V::Zero();
        }
        V::Transpose(v);
        const int64_t kept = dims - d < V::kLanes ? dims - d : V::kLanes;
        for (int64_t i = 0; i < kept; ++i) V::Store(out + (d + i) * kTileKeys + key, v[i]);
      }
    }
  }

  /// Adds the dot products of `kQueries` queries over `dims` numbers to their rows of `weight`. Even and odd
  /// numbers have an accumulator each.
  template <int kQueries>
  static void DotKeys(const float* const* query, int64_t dims, const float* keys,
                      float (*weight)[kTileKeys]) {
    Floats even[kQueries][kKeyVectors], odd[kQueries][kKeyVectors];
    for (int q = 0; q < kQueries; ++q) {
      for (int k = 0; k < kKeyVectors; ++k) even[q][k] = odd[q][k] = V::Zero();
    }
    int64_t d = 0;
    for (; d + 2 <= dims; d += 2) {
      for (int k = 0; k < kKeyVectors; ++k) {
        const Floats a = V::Load(keys + d * kTileKeys + k * V::kLanes);
        const Floats b = V::Load(keys + (d + 1) * kTileKeys + k * V::kLanes);
        for (int q = 0; q < kQueries; ++q) {
          even[q][k] = V::Fma(V::Set(query[q][d]), a, even[q][k]);
          odd[q][k] = V::Fma(V::Set(query[q][d + 1]), b, odd[q][k]);
        }
      }
    }
    for (int q = 0; q < kQueries; ++q) {
      for (int k = 0; k < kKeyVectors; ++k) {
        if (d < dims) {
          const Floats a = V::Load(keys + d * kTileKeys + k * V::kLanes);
          even[q][k] = V::Fma(V::Set(query[q][d]), a, even[q][k]);
        }
        float* at = weight[q] + k * V::kLanes;
        V::Store(at, V::Add(V::Load(at), V::Add(even[q][k], odd[q][k])));
      }
    }
  }

  /// Fills `weight` of the active queries with their dot products.
  static void Score(const AttentionTask& task, const AttentionTile& queries, KeyTile& tile) {
    constexpr int kGroup = V::kQueryGroup;
    alignas(64) float keys[kTileDims * kTileKeys];
    for (int q = 0; q < tile.active; ++q) {
      for (int k = 0; k < kKeyVectors; ++k) V::Store(tile.weight[q] + k * V::kLanes, V::Zero());
    }
    for (int64_t dim = 0; dim < task.head_dim; dim += kTileDims) {
      const int64_t dims = task.head_dim - dim < kTileDims ? task.head_dim - dim : kTileDims;
      TransposeKeys(task, tile, dim, dims, keys);
      const float* query[kTileQueries];
      for (int q = 0; q < tile.active; ++q) query[q] = queries.query[tile.index[q]] + dim;
      int q = 0;
      for (; q + kGroup <= tile.active; q += kGroup) DotKeys<kGroup>(query + q, dims, keys, tile.weight + q);
      for (; q < tile.active; ++q) DotKeys<1>(query + q, dims, keys, tile.weight + q);
    }
  }

  /// Adds keys [begin, end)'s values to `kQueries` queries' sums, after rescaling these.
  template <int kQueries>
  static void AddValues(const AttentionTask& task, const KeyTile& tile, const int* which, int64_t begin,
                        int64_t end, float* const* out) {
    const std::byte* rows = RowsOf(task.value_blocks, tile, task.value_dim);
    const int64_t stride = task.value_dim * 4;
    for (int64_t dim = 0; dim < task.value_dim; dim += kTileDims) {
      if (task.value_dim - dim >= kTileDims) {
        AddValueChunk<kQueries, kDimVectors, true>(tile, rows, which, begin, end, stride, dim, kTileDims,
                                                   out);
      } else {
        for (int64_t d = dim; d < task.value_dim; d += V::kLanes) {
          AddValueChunk<kQueries, 1, false>(tile, rows, which, begin, end, stride, d, task.value_dim - d,
                                            out);
        }
      }
    }
  }

  template <int kQueries, int kVectors, bool kWhole>
  static void AddValueChunk(const KeyTile& tile, const std::byte* rows, const int* which, int64_t begin,
                            int64_t end, int64_t stride, int64_t dim, int64_t dims, float* const* out) {
    Floats sum[kQueries][kVectors];
    const int64_t last = dims < V::kLanes ? dims : V::kLanes;
    for (int q = 0; q < kQueries; ++q) {
      const Floats rescale = V::Set(tile.rescale[which[q]]);
      for (int i = 0; i < kVectors; ++i) {
        const float* at = out[q] + dim + i * V::kLanes;
        sum[q][i] = V::Mul(kWhole || last == V::kLanes ? V::Load(at) : V::LoadFirst(at, last), rescale);
      }
    }
    for (int64_t key = begin; key < end; ++key) {
      const std::byte* row = rows + key * stride;
      Floats value[kVectors];
      for (int i = 0; i < kVectors; ++i)
        value[i] = LoadRow(row, dim + i * V::kLanes, kWhole ? V::kLanes : last);
      for (int q = 0; q < kQueries; ++q) {
        const Floats weight = V::Set(tile.weight[which[q]][key]);
        for (int i = 0; i < kVectors; ++i) sum[q][i] = V::Fma(weight, value[i], sum[q][i]);
      }
    }
    for (int q = 0; q < kQueries; ++q) {
      for (int i = 0; i < kVectors; ++i) {
        float* at = out[q] + dim + i * V::kLanes;
        if (kWhole || last == V::kLanes) {
          V::Store(at, sum[q][i]);
        } else {
          V::StoreFirst(at, sum[q][i], last);
        }
      }
    }
  }

  /// Groups of queries with the same keys share the values' loads; others go one by one, so that no query
  /// reads a value that it does not attend to.
  static void AddAllValues(const AttentionTask& task, const AttentionTile& queries, const KeyTile& tile) {
    constexpr int kGroup = V::kQueryGroup;
    int q = 0;
    while (q < tile.active) {
      bool same = q + kGroup <= tile.active;
      for (int i = 1; same && i < kGroup; ++i) {
        same = tile.begin[q + i] == tile.begin[q] && tile.end[q + i] == tile.end[q];
      }
      const int count = same ? kGroup : 1;
      int which[kGroup];
      float* out[kGroup];
      for (int i = 0; i < count; ++i) {
        which[i] = q + i;
        out[i] = queries.out[tile.index[q + i]];
      }
      if (same) {
        AddValues<kGroup>(task, tile, which, tile.begin[q], tile.end[q], out);
      } else {
        AddValues<1>(task, tile, which, tile.begin[q], tile.end[q], out);
      }
      q += count;
    }
  }

  static void Run(const AttentionTask& task) {
    AttentionTile queries;
    KeyTile tile;
    for (int64_t first = 0; first < task.query_rows * task.heads; first += kTileQueries) {
      Tiles::FillTile(task, first, queries);
      Tiles::ForEachTile(task, queries, tile, [&](KeyTile& now) {
        Score(task, queries, now);
        Tiles::template WeighAll<false>(task, queries, now, 0, now.active);
        AddAllValues(task, queries, now);
      });
      Tiles::Normalise(task, queries);
    }
  }
};

}  // namespace conclave::engine
