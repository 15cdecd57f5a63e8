#pragma once

#include <cstdint>

#include "engine/kernels/attention_task.h"
#include "engine/kernels/vector/exp.h"

// Attention with an online softmax (arXiv 1805.02867) for any vector type V. Keys are taken in tiles of up to
// 32 that follow the storage blocks, so the order of a row's sums depends on its own position only. A query
// is one head of one row; queries are taken in tiles so that a tile of keys is transposed once for all of
// them.
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
  const std::byte* key = nullptr;
  const std::byte* value = nullptr;
  int active = 0;
  int index[kTileQueries];      ///< place in AttentionTile
  int64_t begin[kTileQueries];  ///< first key it attends to, in [0, keys)
  int64_t end[kTileQueries];
  float rescale[kTileQueries];  ///< what its earlier sums must be multiplied by
  alignas(64) float weight[kTileQueries][kTileKeys];
};

template <typename V, bool kHalf>
struct Attention {
  using Floats = typename V::Floats;
  static constexpr int kKeyVectors = kTileKeys / V::kLanes;
  static constexpr int kDimVectors = kTileDims / V::kLanes;

  static Floats LoadRow(const std::byte* row, int64_t at, int64_t count) {
    if constexpr (kHalf) {
      const auto* p = reinterpret_cast<const uint16_t*>(row) + at;
      return count >= V::kLanes ? V::LoadHalf(p) : V::LoadHalfFirst(p, count);
    } else {
      const auto* p = reinterpret_cast<const float*>(row) + at;
      return count >= V::kLanes ? V::Load(p) : V::LoadFirst(p, count);
    }
  }

  static int64_t RowBytes(const AttentionTask& task) { return task.head_dim * (kHalf ? 2 : 4); }

  /// Numbers [dim, dim + dims) of the tile's keys as [dim][key]; missing keys are 0.
  static void TransposeKeys(const AttentionTask& task, const KeyTile& tile, int64_t dim, int64_t dims,
                            float* out) {
    for (int64_t key = 0; key < kTileKeys; key += V::kLanes) {
      for (int64_t d = 0; d < dims; d += V::kLanes) {
        Floats v[V::kLanes];
        for (int i = 0; i < V::kLanes; ++i) {
          v[i] = key + i < tile.keys ? LoadRow(tile.key + (key + i) * RowBytes(task), dim + d, dims - d)
                                     : V::Zero();
        }
        V::Transpose(v);
        const int64_t rows = dims - d < V::kLanes ? dims - d : V::kLanes;
        for (int64_t i = 0; i < rows; ++i) V::Store(out + (d + i) * kTileKeys + key, v[i]);
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
    // AVX2 has registers for one query's accumulators here, AVX-512 for a whole group's.
    constexpr int kGroup = V::kLanes == 16 ? V::kQueryGroup : 1;
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

  /// Turns a query's scores into weights e^(score - largest so far), 0 outside its keys, and updates its
  /// total.
  static void Weigh(float scale, int64_t begin, int64_t end, float* weight, float& largest, float& total,
                    float& rescale) {
    const Floats minus_infinity = V::Set(-__builtin_inff());
    Floats score[kKeyVectors];
    Floats most = minus_infinity;
    for (int k = 0; k < kKeyVectors; ++k) {
      const int64_t from = Within(begin - k * V::kLanes);
      const int64_t to = Within(end - k * V::kLanes);
      score[k] = V::Mul(V::Load(weight + k * V::kLanes), V::Set(scale));
      score[k] = V::SelectRange(score[k], minus_infinity, from, to);
      most = V::Max(score[k], most);
    }
    const float here = V::Largest(most);
    const float now = here > largest ? here : largest;
    // While all scores are minus infinity they weigh nothing against what may follow.
    const float base = now == -__builtin_inff() ? 0.0f : now;
    Floats sum = V::Zero();
    for (int k = 0; k < kKeyVectors; ++k) {
      const Floats e = ExpOf<V>(V::Sub(score[k], V::Set(base)));
      V::Store(weight + k * V::kLanes, e);
      sum = V::Add(sum, e);
    }
    rescale = largest == base ? 1.0f : V::FirstLane(ExpOf<V>(V::Set(largest - base)));
    total = __builtin_fmaf(total, rescale, V::Sum(sum));
    largest = now;
  }

  static int64_t Within(int64_t lane) { return lane < 0 ? 0 : lane > V::kLanes ? V::kLanes : lane; }

  /// Adds keys [begin, end)'s values to `kQueries` queries' sums, after rescaling these.
  template <int kQueries>
  static void AddValues(const AttentionTask& task, const KeyTile& tile, const int* which, int64_t begin,
                        int64_t end, float* const* out) {
    const int64_t stride = RowBytes(task);
    for (int64_t dim = 0; dim < task.head_dim; dim += kTileDims) {
      if (task.head_dim - dim >= kTileDims) {
        AddValueChunk<kQueries, kDimVectors, true>(tile, which, begin, end, stride, dim, kTileDims, out);
      } else {
        for (int64_t d = dim; d < task.head_dim; d += V::kLanes) {
          AddValueChunk<kQueries, 1, false>(tile, which, begin, end, stride, d, task.head_dim - d, out);
        }
      }
    }
  }

  template <int kQueries, int kVectors, bool kWhole>
  static void AddValueChunk(const KeyTile& tile, const int* which, int64_t begin, int64_t end, int64_t stride,
                            int64_t dim, int64_t dims, float* const* out) {
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
      const std::byte* row = tile.value + key * stride;
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
    constexpr int kGroup = V::kLanes == 16 ? V::kQueryGroup : 1;
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

  /// One tile of keys for all queries of a tile.
  static void Step(const AttentionTask& task, AttentionTile& queries, KeyTile& tile) {
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
    if (tile.active == 0) return;
    Score(task, queries, tile);
    for (int q = 0; q < tile.active; ++q) {
      const int at = tile.index[q];
      Weigh(task.scale, tile.begin[q], tile.end[q], tile.weight[q], queries.largest[at], queries.total[at],
            tile.rescale[q]);
    }
    AddAllValues(task, queries, tile);
  }

  static void FillTile(const AttentionTask& task, int64_t first, AttentionTile& tile) {
    const int64_t left = task.query_rows * task.heads - first;
    tile.count = static_cast<int>(left < kTileQueries ? left : kTileQueries);
    for (int q = 0; q < tile.count; ++q) {
      const int64_t row = (first + q) / task.heads;
      const int64_t head = (first + q) % task.heads;
      tile.query[q] = task.queries + row * task.query_stride + head * task.head_dim;
      tile.out[q] = task.out + row * task.out_stride + head * task.head_dim;
      tile.end[q] = task.first_position + row + 1;
      tile.begin[q] = task.window > 0 && tile.end[q] > task.window ? tile.end[q] - task.window : 0;
      tile.largest[q] = -__builtin_inff();
      tile.total[q] = 0.0f;
      for (int64_t i = 0; i < task.head_dim; ++i) tile.out[q][i] = 0.0f;
    }
  }

  static void Normalise(const AttentionTask& task, const AttentionTile& tile) {
    for (int q = 0; q < tile.count; ++q) {
      for (int64_t i = 0; i < task.head_dim; ++i) tile.out[q][i] /= tile.total[q];
    }
  }

  static void Run(const AttentionTask& task) {
    AttentionTile queries;
    KeyTile tile;
    for (int64_t first = 0; first < task.query_rows * task.heads; first += kTileQueries) {
      FillTile(task, first, queries);
      // Rows ascend, so the first query begins first and the last one ends last.
      const int64_t end = queries.end[queries.count - 1];
      for (int64_t block = queries.begin[0] / task.block_tokens; block * task.block_tokens < end; ++block) {
        for (int64_t at = 0; at < task.block_tokens; at += kTileKeys) {
          tile.position = block * task.block_tokens + at;
          if (tile.position >= end) break;
          const int64_t in_block = task.block_tokens - at < kTileKeys ? task.block_tokens - at : kTileKeys;
          tile.keys = end - tile.position < in_block ? end - tile.position : in_block;
          tile.key = task.key_blocks[block] + at * RowBytes(task);
          tile.value = task.value_blocks[block] + at * RowBytes(task);
          Step(task, queries, tile);
        }
      }
      Normalise(task, queries);
    }
  }
};

template <typename V>
void AttentionOf(const AttentionTask& task) {
  if (task.half_precision) {
    Attention<V, true>::Run(task);
  } else {
    Attention<V, false>::Run(task);
  }
}

}  // namespace conclave::engine
