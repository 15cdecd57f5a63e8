#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/kernels/kernels.h"
#include "engine/kernels/reference/reference.h"
#include "engine/kernels/vector/exp.h"

// Attention over 8-bit keys and values, step by step and number by number: what the tuned sets must give to
// the last bit.
namespace conclave::engine::reference {
namespace {

constexpr int kTileKeys = 32;
constexpr float kLog2OfE = 0x1.715476p+0f;

/// One lane.
struct Plain {
  using Floats = float;
  static float Set(float x) { return x; }
  static float Fma(float a, float b, float c) { return std::fma(a, b, c); }
  // b when either is NaN.
  static float Max(float a, float b) { return a > b ? a : b; }
  static float Floor(float x) { return std::floor(x); }
  static float ScaleDown(float x, float n) {
    if (n == -std::numeric_limits<float>::infinity()) return 0.0f;
    return std::isnan(n) ? n : std::ldexp(x, static_cast<int>(std::max(n, -1000.0f)));
  }
};

/// A query, what it has seen of its keys, and its sums of values so far.
struct Query {
  int8_t numbers[kQuantisedHeadRoom];
  float factor = 0.0f;
  float largest = -std::numeric_limits<float>::infinity();
  float total = 0.0f;
  float* out = nullptr;
};

struct Block {
  const std::byte* bytes;
  int64_t head_dim;
  int64_t block_tokens;

  float Scale(int64_t token) const {
    float scale;
    std::memcpy(&scale, bytes + block_tokens * head_dim + token * 4, sizeof scale);
    return scale;
  }
  int Key(int64_t token, int64_t i) const {
    return static_cast<int8_t>(bytes[(i / 4 * block_tokens + token) * 4 + i % 4]);
  }
  int Value(int64_t token, int64_t i) const {
    return static_cast<int8_t>(bytes[(token / 4 * head_dim + i) * 4 + token % 4]);
  }
};

/// Keys 16 apart, 8 apart, and so on.
float SumOf(float (&x)[kTileKeys]) {
  for (int apart = kTileKeys / 2; apart > 0; apart /= 2) {
    for (int k = 0; k < apart; ++k) x[k] += x[k + apart];
  }
  return x[0];
}

/// Attends to the keys [begin, end) of the tile that starts at token `first` of its block.
void AttendTile(const Block& keys, const Block& values, int64_t first, int64_t begin, int64_t end,
                Query& query) {
  constexpr float kLeast = -std::numeric_limits<float>::max();
  float score[kTileKeys];
  float most = -std::numeric_limits<float>::infinity();
  float largest_scale = 0x1p-100f;
  for (int64_t k = begin; k < end; ++k) {
    int32_t dot = 0;
    for (int64_t i = 0; i < keys.head_dim; ++i) dot += query.numbers[i] * keys.Key(first + k, i);
    score[k] = static_cast<float>(dot) * keys.Scale(first + k);
    most = Plain::Max(score[k], most);
    largest_scale = Plain::Max(values.Scale(first + k), largest_scale);
  }
  most *= query.factor;
  const float base = Plain::Max(most, kLeast);
  const float now = Plain::Max(most, query.largest);
  const float share = Exp2Of<Plain>(base - Plain::Max(now, kLeast));
  const float rescale = Exp2Of<Plain>(query.largest - Plain::Max(now, kLeast));
  const float bytes = 255.0f / largest_scale;
  const float unit = largest_scale * (1.0f / 255.0f) * share;
  float weight[kTileKeys] = {};
  for (int64_t k = begin; k < end; ++k) weight[k] = Exp2Of<Plain>(std::fma(score[k], query.factor, -base));
  for (int64_t i = 0; i < values.head_dim; ++i) {
    int32_t sum = 0;
    for (int64_t k = begin; k < end; ++k) {
      const float byte = std::fma(weight[k], values.Scale(first + k) * bytes, 0x1.8p23f) - 0x1.8p23f;
      sum += (std::isnan(byte) ? 0 : static_cast<int32_t>(byte)) * values.Value(first + k, i);
    }
    query.out[i] = std::fma(static_cast<float>(sum), unit, query.out[i] * rescale);
  }
  query.total = std::fma(query.total, rescale, SumOf(weight) * share);
  query.largest = now;
  for (int64_t k = begin; k < end; ++k) {
    if (std::isnan(values.Scale(first + k))) query.total = std::numeric_limits<float>::quiet_NaN();
  }
}

}  // namespace

void Int8Attention(const AttentionTask& task) {
  const int64_t tiles = task.block_tokens / kTileKeys;
  for (int64_t place = 0; place < task.query_rows * task.heads; ++place) {
    const int64_t row = place / task.heads;
    const int64_t head = place % task.heads;
    Query query;
    query.factor = QuantiseHead(task.queries + row * task.query_stride + head * task.head_dim, task.head_dim,
                                query.numbers) *
                   (task.scale * kLog2OfE);
    if (task.sinks != nullptr) {
      query.largest = task.sinks[head] * kLog2OfE;
      query.total = 1.0f;
    }
    query.out = task.out + row * task.out_stride + head * task.value_dim;
    for (int64_t i = 0; i < task.value_dim; ++i) query.out[i] = 0.0f;
    const int64_t end = task.first_position + row + 1;
    const int64_t begin = task.window > 0 && end > task.window ? end - task.window : 0;
    for (int64_t at = begin / kTileKeys * kTileKeys; at < end; at += kTileKeys) {
      const int64_t block = at / kTileKeys / tiles;
      AttendTile({task.key_blocks[block], task.head_dim, task.block_tokens},
                 {task.value_blocks[block], task.value_dim, task.block_tokens}, at % task.block_tokens,
                 std::max<int64_t>(begin - at, 0), std::min<int64_t>(end - at, kTileKeys), query);
    }
    for (int64_t i = 0; i < task.value_dim; ++i) query.out[i] /= query.total;
  }
}

}  // namespace conclave::engine::reference
