#pragma once

#include "engine/kernels/vector/attention_tiles.h"
#include "engine/kernels/vector/quantise_head.h"

// Attention over keys and values stored as 8-bit numbers with a scale a token (attention_task.h), for any
// vector type V. Queries are rounded to 8 bits as well, and so is each tile's product of softmax weights and
// values' scales, so that one instruction (vpdpbusd) multiplies four numbers a lane. Everything but the
// softmax is exact in integers, and its sums follow one tree: all sets give the same bits.
namespace conclave::engine {

template <typename V>
struct Int8Attention {
  using Floats = typename V::Floats;
  using Words = typename V::Words;
  using Tiles = AttentionTiles<V>;
  static constexpr int kLanes = V::kLanes;
  static constexpr int kKeyVectors = kTileKeys / kLanes;
  static constexpr int kDimVectors = kTileDims / kLanes;
  static constexpr int kMostQuads = kMostPairedHeadDim / 4;
  static constexpr int kKeyQuads = kTileKeys / 4;
  /// With a query a lane a tile needs no shuffles; where there are few lanes there would be too few sums.
  static constexpr bool kQueryLanes = kLanes == 16;
  static constexpr int kGroups = kTileQueries / kLanes;
  /// Keys whose sums fit into the registers together.
  static constexpr int kKeys = 16;
  /// So many maxima of scores, that a comparison does not wait for the one before.
  static constexpr int kMaxima = 4;

  /// The queries of an AttentionTile in 8 bits.
  struct Queries {
    alignas(64) uint32_t quads[kTileQueries][kMostQuads];  ///< four numbers of a query, each 128 too large
    alignas(64) uint32_t turned[kGroups][kMostQuads][kLanes];
    alignas(64) float factor[kTileQueries];  ///< a query's scale times the task's, for powers of two
  };

  /// A tile's weights times its values' scales, in units of `unit`.
  struct Weights {
    alignas(64) uint32_t quads[kKeyQuads][kTileQueries];  ///< four keys' bytes each
    alignas(64) float unit[kTileQueries];
  };

  /// What a tile's keys and values bring along.
  struct Scales {
    const float* keys;
    const float* values;
    alignas(64) int32_t start[kTileKeys];  ///< of each key's dot products: undoes what queries are too large
    // For queries that attend to the whole tile:
    float largest;                       ///< of the values' scales
    alignas(64) float bytes[kTileKeys];  ///< what each weight is multiplied by to be rounded
  };

  /// The largest scale of the values [begin, end); NaN is none.
  static float LargestScale(const float* values, int64_t begin, int64_t end) {
    Floats most = V::Set(kLightest);
    for (int k = 0; k < kKeyVectors; ++k) {
      const Floats scale = V::SelectRange(V::Load(values + k * kLanes), V::Set(kLightest),
                                          Tiles::Within(begin - k * kLanes), Tiles::Within(end - k * kLanes));
      most = V::Max(scale, most);
    }
    return V::Largest(most);
  }

  static void RoundQueries(const AttentionTask& task, const AttentionTile& tile, Queries& out) {
    alignas(64) int8_t numbers[kMostPairedHeadDim + kLanes];
    for (int q = 0; q < tile.count; ++q) {
      out.factor[q] = QuantiseHeadOf<V>(tile.query[q], task.head_dim, numbers) * (task.scale * kLog2OfE);
      __builtin_memcpy(out.quads[q], numbers, static_cast<size_t>(task.head_dim));
      for (int64_t quad = 0; quad < task.head_dim / 4; ++quad) out.quads[q][quad] ^= 0x80808080u;
    }
    if constexpr (kQueryLanes) {
      for (int group = 0; (group + 1) * kLanes <= tile.count; ++group) {
        Tiles::TurnGroup(out.quads + group * kLanes, task.head_dim / 4, out.turned[group]);
      }
    }
  }

  static const std::byte* KeysOf(const AttentionTask& task, const KeyTile& tile) {
    return task.key_blocks[tile.block] + tile.in_block * 4;
  }

  /// Not inline: the compiler would keep the results in registers and pick single lanes from there, which
  /// takes longer than reading them from memory.
  static __attribute__((noinline)) void FindScales(const AttentionTask& task, const KeyTile& tile,
                                                   Scales& scales) {
    const std::byte* keys_end = task.key_blocks[tile.block] + task.block_tokens * task.head_dim;
    const std::byte* values_end = task.value_blocks[tile.block] + task.block_tokens * task.value_dim;
    scales.keys = reinterpret_cast<const float*>(keys_end) + tile.in_block;
    scales.values = reinterpret_cast<const float*>(values_end) + tile.in_block;
    // Two sums a vector of keys, of which neither waits for the other.
    Words sum[kKeyVectors], other[kKeyVectors];
    for (int k = 0; k < kKeyVectors; ++k) sum[k] = other[k] = V::SetWord(0);
    const Words excess = V::SetWord(0x80808080u);
    const std::byte* keys = KeysOf(task, tile);
    const int64_t stride = task.block_tokens * 4;
    int64_t quad = 0;
    for (; quad + 2 <= task.head_dim / 4; quad += 2, keys += 2 * stride) {
      for (int k = 0; k < kKeyVectors; ++k) {
        sum[k] = V::DotQuads(sum[k], excess, V::LoadWords(keys + k * kLanes * 4));
        other[k] = V::DotQuads(other[k], excess, V::LoadWords(keys + stride + k * kLanes * 4));
      }
    }
    for (int k = 0; k < kKeyVectors; ++k) {
      if (quad < task.head_dim / 4) sum[k] = V::DotQuads(sum[k], excess, V::LoadWords(keys + k * kLanes * 4));
      V::StoreWords(scales.start + k * kLanes, V::Negate(V::AddWords(sum[k], other[k])));
    }
    scales.largest = LargestScale(scales.values, 0, kTileKeys);
    for (int k = 0; k < kKeyVectors; ++k) {
      V::Store(scales.bytes + k * kLanes,
               V::Mul(V::Load(scales.values + k * kLanes), V::Set(255.0f / scales.largest)));
    }
  }

  /// x * bytes, which is at most 255, as the lowest byte of a word: a number of this size has no bits below
  /// its ones.
  static Words ByteOf(Floats x, Floats bytes) { return V::BitsOf(V::Fma(x, bytes, V::Set(kOnes))); }

  /// How a tile joins the ones before it.
  struct Step {
    Floats lift;     ///< what is added to the tile's scores before their exponentials
    Floats share;    ///< what its sums are multiplied by
    Floats rescale;  ///< what the earlier ones are
    Floats now;      ///< the largest score so far
  };

  /// `here`: the tile's largest score; `largest`: that of the tiles before.
  static Step StepOf(Floats here, Floats largest) {
    // While all scores are minus infinity they weigh nothing against what may follow.
    const Floats least = V::Set(-__FLT_MAX__);
    const Floats base = V::Max(here, least);
    const Floats now = V::Max(here, largest);
    const Floats all = V::Max(now, least);
    return {.lift = V::Sub(V::Zero(), base),
            .share = Exp2Of<V>(V::Sub(base, all)),
            .rescale = Exp2Of<V>(V::Sub(largest, all)),
            .now = now};
  }

  // With a key a lane.

  /// Integer dot products of `kQueries` queries with the tile's keys.
  template <int kQueries>
  static void DotKeys(const Queries& queries, const int* index, int64_t quads, const std::byte* keys,
                      int64_t stride, const int32_t* start, Words (*sum)[kKeyVectors]) {
    for (int q = 0; q < kQueries; ++q) {
      for (int k = 0; k < kKeyVectors; ++k) {
        sum[q][k] = V::LoadWords(reinterpret_cast<const std::byte*>(start + k * kLanes));
      }
    }
    for (int64_t quad = 0; quad < quads; ++quad, keys += stride) {
      Words key[kKeyVectors];
      for (int k = 0; k < kKeyVectors; ++k) key[k] = V::LoadWords(keys + k * kLanes * 4);
      for (int q = 0; q < kQueries; ++q) {
        const Words numbers = V::SetWord(queries.quads[index[q]][quad]);
        for (int k = 0; k < kKeyVectors; ++k) sum[q][k] = V::DotQuads(sum[q][k], numbers, key[k]);
      }
    }
  }

  /// In the tree of AttentionTiles::SumOverKeys.
  static float SumOf(Floats (&x)[kKeyVectors]) {
    for (int apart = kKeyVectors / 2; apart > 0; apart /= 2) {
      for (int k = 0; k < apart; ++k) x[k] = V::Add(x[k], x[k + apart]);
    }
    return V::Sum(x[0]);
  }

  /// Turns one query's dot products into weights, 0 outside its keys.
  static void WeighKeys(const Queries& queries, const Scales& scales, const Words (&dot)[kKeyVectors],
                        AttentionTile& all, KeyTile& tile, int q, Weights& weights) {
    const int at = tile.index[q];
    const int64_t begin = tile.begin[q];
    const int64_t end = tile.end[q];
    const auto within = [&](Floats x, float outside, int k) {
      return V::SelectRange(x, V::Set(outside), Tiles::Within(begin - k * kLanes),
                            Tiles::Within(end - k * kLanes));
    };
    Floats score[kKeyVectors];
    Floats most = V::Set(-__builtin_inff());
    for (int k = 0; k < kKeyVectors; ++k) {
      score[k] = V::Mul(V::ToFloats(dot[k]), V::Load(scales.keys + k * kLanes));
      most = V::Max(within(score[k], -__builtin_inff(), k), most);
    }
    const Floats factor = V::Set(queries.factor[at]);
    const Floats largest = V::Set(all.largest[at]);
    const Step step = StepOf(V::Mul(V::Set(V::Largest(most)), factor), largest);
    const bool whole = begin == 0 && end == kTileKeys;
    const float largest_scale = whole ? scales.largest : LargestScale(scales.values, begin, end);
    alignas(64) uint8_t bytes[kTileKeys];
    for (int k = 0; k < kKeyVectors; ++k) {
      const Floats weight = within(Exp2Of<V>(V::Fma(score[k], factor, step.lift)), 0.0f, k);
      const Floats scale = within(V::Load(scales.values + k * kLanes), 0.0f, k);
      V::StoreBytes(bytes + k * kLanes, ByteOf(weight, V::Mul(scale, V::Set(255.0f / largest_scale))));
      score[k] = weight;
    }
    for (int quad = 0; quad < kKeyQuads; ++quad)
      __builtin_memcpy(&weights.quads[quad][q], bytes + quad * 4, 4);
    const float share = V::FirstLane(step.share);
    weights.unit[q] = largest_scale * (1.0f / 255.0f) * share;
    tile.rescale[q] = V::FirstLane(step.rescale);
    all.total[at] = __builtin_fmaf(all.total[at], tile.rescale[q], SumOf(score) * share);
    all.largest[at] = V::FirstLane(step.now);
  }

  template <int kQueries>
  static void WeighSome(const AttentionTask& task, const Queries& queries, const Scales& scales,
                        AttentionTile& all, KeyTile& tile, int q, Weights& weights) {
    Words dot[kQueries][kKeyVectors];
    DotKeys<kQueries>(queries, tile.index + q, task.head_dim / 4, KeysOf(task, tile), task.block_tokens * 4,
                      scales.start, dot);
    for (int i = 0; i < kQueries; ++i) WeighKeys(queries, scales, dot[i], all, tile, q + i, weights);
  }

  // With a query a lane.

  /// Scores of kKeys keys for a group of queries, in units of these queries' factors, and their maxima.
  /// `keys`: the first quad of the first of them.
  static void DotQueries(const uint32_t (*query)[kLanes], int64_t quads, const std::byte* keys,
                         int64_t stride, const int32_t* start, const float* scales, float (*score)[kLanes],
                         Floats (&most)[kMaxima]) {
    Words sum[kKeys];
    for (int k = 0; k < kKeys; ++k) sum[k] = V::SetWord(static_cast<uint32_t>(start[k]));
    for (int64_t quad = 0; quad < quads; ++quad, keys += stride) {
      const Words numbers = V::LoadWords(reinterpret_cast<const std::byte*>(query[quad]));
      for (int k = 0; k < kKeys; ++k) sum[k] = V::DotQuadsAt(sum[k], numbers, keys + k * 4);
    }
    for (int k = 0; k < kKeys; ++k) {
      const Floats product = V::Mul(V::ToFloats(sum[k]), V::Set(scales[k]));
      V::Store(score[k], product);
      most[k % kMaxima] = V::Max(product, most[k % kMaxima]);
    }
  }

  /// Scores and weighs a whole group.
  static void WeighGroup(const AttentionTask& task, const Queries& queries, const Scales& scales,
                         AttentionTile& all, KeyTile& tile, int q, Weights& weights) {
    const int first = tile.index[q];
    alignas(64) float score[kTileKeys][kLanes];
    Floats most[kMaxima];
    for (Floats& each : most) each = V::Set(-__builtin_inff());
    for (int k = 0; k < kTileKeys; k += kKeys) {
      DotQueries(queries.turned[first / kLanes], task.head_dim / 4, KeysOf(task, tile) + k * 4,
                 task.block_tokens * 4, scales.start + k, scales.keys + k, score + k, most);
    }
    const Floats factor = V::Load(queries.factor + first);
    const Floats here = V::Mul(V::Max(V::Max(most[0], most[1]), V::Max(most[2], most[3])), factor);
    const Step step = StepOf(here, V::Load(all.largest + first));
    const Quad sum = WeighQuads<1>(score, factor, step.lift, scales.bytes, weights.quads, q, 0);
    const Floats total = V::Add(V::Add(sum.key[0], sum.key[2]), V::Add(sum.key[1], sum.key[3]));
    V::Store(weights.unit + q, V::Mul(V::Set(scales.largest * (1.0f / 255.0f)), step.share));
    V::Store(tile.rescale + q, step.rescale);
    V::Store(all.total + first, V::Fma(V::Load(all.total + first), step.rescale, V::Mul(total, step.share)));
    V::Store(all.largest + first, step.now);
  }

  /// Weights of four keys, or sums of such.
  struct Quad {
    Floats key[4];
  };

  /// Rounds and stores the weights of every kApart-th quad of keys from `quad` on, and sums them in the tree
  /// of SumOf: keys 16 apart, 8 apart, and so on.
  template <int kApart>
  static __attribute__((always_inline)) Quad WeighQuads(const float (*score)[kLanes], Floats factor,
                                                        Floats lift, const float* bytes,
                                                        uint32_t (*quads)[kTileQueries], int q, int quad) {
    Quad out;
    if constexpr (kApart < kKeyQuads) {
      const Quad a = WeighQuads<2 * kApart>(score, factor, lift, bytes, quads, q, quad);
      const Quad b = WeighQuads<2 * kApart>(score, factor, lift, bytes, quads, q, quad + kApart);
      for (int i = 0; i < 4; ++i) out.key[i] = V::AddNow(a.key[i], b.key[i]);
    } else {
      Words byte[4];
      for (int i = 0; i < 4; ++i) {
        const int k = quad * 4 + i;
        out.key[i] = Exp2Of<V>(V::Fma(V::Load(score[k]), factor, lift));
        byte[i] = ByteOf(out.key[i], V::Set(bytes[k]));
      }
      V::StoreWords(quads[quad] + q, V::JoinBytes(byte[0], byte[1], byte[2], byte[3]));
    }
    return out;
  }

  static void WeighAll(const AttentionTask& task, const Queries& queries, AttentionTile& all, KeyTile& tile,
                       Weights& weights) {
    constexpr int kSome = V::kScoreQueries;
    Scales scales;
    FindScales(task, tile, scales);
    for (int q = 0; q < tile.active;) {
      if constexpr (kQueryLanes) {
        if (Tiles::WholeGroup(tile, q)) {
          WeighGroup(task, queries, scales, all, tile, q, weights);
          q += kLanes;
          continue;
        }
      }
      if (q + kSome <= tile.active) {
        WeighSome<kSome>(task, queries, scales, all, tile, q, weights);
        q += kSome;
      } else {
        WeighSome<1>(task, queries, scales, all, tile, q++, weights);
      }
    }
    Spoil(scales, all, tile);
  }

  /// A value that was no number has a scale that is none, and so must be what attends to it: integers would
  /// hide it.
  static void Spoil(const Scales& scales, AttentionTile& all, const KeyTile& tile) {
    Floats zeros = V::Zero();
    for (int k = 0; k < kKeyVectors; ++k) {
      zeros = V::Add(zeros, V::Mul(V::Load(scales.values + k * kLanes), V::Zero()));
    }
    if (V::Sum(zeros) == 0.0f) return;
    for (int q = 0; q < tile.active; ++q) {
      for (int64_t k = tile.begin[q]; k < tile.end[q]; ++k) {
        if (scales.values[k] != scales.values[k]) all.total[tile.index[q]] = __builtin_nanf("");
      }
    }
  }

  // Values.

  /// Adds the values of keys [4 * begin, 4 * end) to dims [dim, dim + count) of the queries from `first` on,
  /// after rescaling these. `values`: the first quad of the tile; the next four keys lie `stride` bytes on.
  template <int kQueries, int kVectors, bool kWhole>
  static void AddValueChunk(const KeyTile& tile, const Weights& weights, int first, float* const* out,
                            int64_t begin, int64_t end, const std::byte* values, int64_t stride, int64_t dim,
                            int64_t count) {
    Words sum[kQueries][kVectors];
    for (int q = 0; q < kQueries; ++q) {
      for (int i = 0; i < kVectors; ++i) sum[q][i] = V::SetWord(0);
    }
    for (int64_t quad = begin; quad < end; ++quad) {
      Words value[kVectors];
      for (int i = 0; i < kVectors; ++i) {
        const std::byte* at = values + quad * stride + (dim + i * kLanes) * 4;
        value[i] = kWhole ? V::LoadWords(at) : V::LoadWordsFirst(at, count);
      }
      for (int q = 0; q < kQueries; ++q) {
        const Words weight = V::SetWord(weights.quads[quad][first + q]);
        for (int i = 0; i < kVectors; ++i) sum[q][i] = V::DotQuads(sum[q][i], weight, value[i]);
      }
    }
    for (int q = 0; q < kQueries; ++q) {
      const Floats rescale = V::Set(tile.rescale[first + q]);
      const Floats unit = V::Set(weights.unit[first + q]);
      for (int i = 0; i < kVectors; ++i) {
        float* at = out[q] + dim + i * kLanes;
        const Floats before = V::Mul(kWhole ? V::Load(at) : V::LoadFirst(at, count), rescale);
        const Floats after = V::Fma(V::ToFloats(sum[q][i]), unit, before);
        if constexpr (kWhole) {
          V::Store(at, after);
        } else {
          V::StoreFirst(at, after, count);
        }
      }
    }
  }

  /// For the queries [first, first + kQueries). Keys that one of them does not attend to weigh 0.
  template <int kQueries>
  static void AddValues(const AttentionTask& task, const AttentionTile& all, const KeyTile& tile,
                        const Weights& weights, int first) {
    float* out[kQueries];
    for (int q = 0; q < kQueries; ++q) out[q] = all.out[tile.index[first + q]];
    // Rows ascend: the first one begins first, the last one ends last.
    const int64_t begin = tile.begin[first] / 4;
    const int64_t end = (tile.end[first + kQueries - 1] + 3) / 4;
    const int64_t stride = task.value_dim * 4;
    const std::byte* values = task.value_blocks[tile.block] + tile.in_block / 4 * stride;
    int64_t dim = 0;
    for (; dim + kTileDims <= task.value_dim; dim += kTileDims) {
      AddValueChunk<kQueries, kDimVectors, true>(tile, weights, first, out, begin, end, values, stride, dim,
                                                 kTileDims);
    }
    for (; dim + kLanes <= task.value_dim; dim += kLanes) {
      AddValueChunk<kQueries, 1, true>(tile, weights, first, out, begin, end, values, stride, dim, kLanes);
    }
    if (dim < task.value_dim) {
      AddValueChunk<kQueries, 1, false>(tile, weights, first, out, begin, end, values, stride, dim,
                                        task.value_dim - dim);
    }
  }

  /// As many of `count` queries as there are registers for; how many.
  template <int kQueries>
  static int AddSome(const AttentionTask& task, const AttentionTile& all, const KeyTile& tile,
                     const Weights& weights, int first, int count) {
    if constexpr (kQueries > 1) {
      if (count < kQueries) return AddSome<kQueries - 1>(task, all, tile, weights, first, count);
    }
    AddValues<kQueries>(task, all, tile, weights, first);
    return kQueries;
  }

  static void Run(const AttentionTask& task) {
    AttentionTile tile;
    Queries queries;
    Weights weights;
    KeyTile keys;
    for (int64_t first = 0; first < task.query_rows * task.heads; first += kTileQueries) {
      Tiles::FillTile(task, first, tile, kLog2OfE);
      RoundQueries(task, tile, queries);
      Tiles::ForEachTile(task, tile, keys, [&](KeyTile& now) {
        WeighAll(task, queries, tile, now, weights);
        for (int q = 0; q < now.active;) {
          q += AddSome<V::kValueQueries>(task, tile, now, weights, q, now.active - q);
        }
      });
      Tiles::Normalise(task, tile);
    }
  }

 private:
  /// Values whose scales are all below it count as zeros.
  static constexpr float kLightest = 0x1p-100f;
  static constexpr float kLog2OfE = 0x1.715476p+0f;
  static constexpr float kOnes = 0x1.8p23f;
};

}  // namespace conclave::engine
