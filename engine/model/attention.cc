#include "engine/model/attention.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>

#include "engine/kernels/kv_storage.h"
#include "engine/model/load_weights.h"
#include "engine/model/step_work.h"

namespace conclave::engine {
namespace {

/// Query rows that one unit of work takes at most, so that a long prompt is shared among threads.
constexpr int64_t kWorkRows = 16;
/// Heads that one unit takes at most where all share one key-value head.
constexpr int64_t kWorkHeads = 16;

}  // namespace

struct Attention::Work {
  const SequenceStep* step;
  int64_t batch_row;  ///< of the unit's first row, within the step
  int64_t first_row;  ///< within the sequence's new tokens
  int64_t rows;
  int64_t kv_head;
  int64_t first_head;  ///< of the query heads that share it
  int64_t heads;
};

Attention::Attention(const Architecture& architecture)
    : architecture_(architecture), layers_(architecture.layers), rope_(architecture) {}

Status Attention::LoadLayer(const ModelFile& file, const ModelDescription& description, int64_t index) {
  const WeightNames& names = description.names;
  Layer& layer = layers_[index];
  const auto name = [&](const std::string& pattern) { return WeightNames::ForLayer(pattern, index); };
  CONCLAVE_ASSIGN_OR_RETURN(layer.norm, LoadVector(file, name(names.attention_norm), architecture_.hidden));
  const bool query_latent = architecture_.latent.query_rank > 0;
  CONCLAVE_ASSIGN_OR_RETURN(layer.query,
                            LoadMatrix(file, name(query_latent ? names.latent_query : names.query)));
  CONCLAVE_ASSIGN_OR_RETURN(layer.key, LoadMatrix(file, name(names.key)));
  if (architecture_.latent_attention()) {
    CONCLAVE_ASSIGN_OR_RETURN(layer.latent, LatentProjections::Load(file, description, index));
  } else {
    CONCLAVE_ASSIGN_OR_RETURN(layer.value, LoadMatrix(file, name(names.value)));
  }
  CONCLAVE_ASSIGN_OR_RETURN(layer.output, LoadMatrix(file, name(names.attention_output)));
  layer.quantised = layer.query.quantised() || layer.key.quantised() || layer.value.quantised();
  CONCLAVE_RETURN_IF_ERROR(LoadBiases(file, names, index));
  return LoadNorms(file, names, index);
}

Status Attention::LoadBiases(const ModelFile& file, const WeightNames& names, int64_t index) {
  const Architecture& a = architecture_;
  Layer& layer = layers_[index];
  const auto load = [&](const std::string& pattern, int64_t size) {
    return LoadVector(file, WeightNames::BiasOf(WeightNames::ForLayer(pattern, index)), size);
  };
  if (a.attention_bias) {
    CONCLAVE_ASSIGN_OR_RETURN(layer.query_bias, load(names.query, a.query_heads * a.head_dim));
    CONCLAVE_ASSIGN_OR_RETURN(layer.key_bias, load(names.key, a.kv_heads * a.head_dim));
    CONCLAVE_ASSIGN_OR_RETURN(layer.value_bias, load(names.value, a.kv_heads * a.head_dim));
  }
  if (!a.attention_output_bias) return Status::Ok();
  CONCLAVE_ASSIGN_OR_RETURN(layer.output_bias, load(names.attention_output, a.hidden));
  return Status::Ok();
}

Status Attention::LoadNorms(const ModelFile& file, const WeightNames& names, int64_t index) {
  const Architecture& a = architecture_;
  Layer& layer = layers_[index];
  const auto load = [&](const std::string& pattern, int64_t size) {
    return LoadVector(file, WeightNames::ForLayer(pattern, index), size);
  };
  if (a.attention_sinks) {
    CONCLAVE_ASSIGN_OR_RETURN(layer.sinks, load(names.sinks, a.query_heads));
  }
  if (a.query_key_norm == QueryKeyNorm::kNone) return Status::Ok();
  const bool all = a.query_key_norm == QueryKeyNorm::kAll;
  CONCLAVE_ASSIGN_OR_RETURN(layer.query_norm,
                            load(names.query_norm, all ? a.query_heads * a.head_dim : a.head_dim));
  CONCLAVE_ASSIGN_OR_RETURN(layer.key_norm, load(names.key_norm, all ? a.kv_heads * a.head_dim : a.head_dim));
  return Status::Ok();
}

int64_t Attention::weight_bytes() const {
  int64_t sum = 0;
  for (const Layer& layer : layers_) {
    sum += layer.query.bytes() + layer.key.bytes() + layer.value.bytes() + layer.output.bytes();
    if (layer.latent) sum += layer.latent->bytes();
  }
  return sum;
}

Attention::Matrices Attention::matrices(int64_t index) const {
  const Layer& layer = layers_[index];
  Matrices out{.inputs = {&layer.query, &layer.key}, .latent = {}, .output = layer.output};
  if (layer.latent) {
    out.latent = layer.latent->matrices();
  } else {
    out.inputs.push_back(&layer.value);
  }
  return out;
}

void Attention::Begin(std::span<const SequenceStep> steps, ThreadPool& pool) {
  const Architecture& a = architecture_;
  steps_ = steps;
  tokens_ = 0;
  for (const SequenceStep& step : steps) tokens_ += static_cast<int64_t>(step.tokens.size());
  Grow(normed_, tokens_ * a.hidden);
  Grow(query_, tokens_ * a.query_heads * a.head_dim);
  Grow(attended_, tokens_ * a.query_heads * a.output_dim());
  Grow(key_, tokens_ * a.kv_heads * a.cached_key_dim());
  if (a.latent_attention()) {
    Grow(query_latent_, tokens_ * a.latent.query_rank);
    Grow(latent_query_, tokens_ * a.query_heads * a.cached_key_dim());
    Grow(latent_sum_, tokens_ * a.query_heads * a.latent.kv_rank);
  } else {
    Grow(value_, tokens_ * a.kv_heads * a.head_dim);
  }
  Grow(cos_sin_, tokens_ * a.rope_dims);
  float* cos_sin = cos_sin_.data();
  for (const SequenceStep& step : steps) {
    const auto rows = static_cast<int64_t>(step.tokens.size());
    ForTokens(pool, rows, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) rope_.CosSin(step.cache->length() + i, cos_sin + i * a.rope_dims);
    });
    cos_sin += rows * a.rope_dims;
  }
}

void Attention::AddTo(int64_t index, ThreadPool& pool, float* residual) {
  const Layer& layer = layers_[index];
  Norm(layer, residual, pool);
  Observe(ProductInput::kAttention, index, normed_.data(), architecture_.hidden);
  Project(layer, pool);
  if (architecture_.latent.query_rank > 0) ProjectQueryLatent(layer, pool);
  RotateAndStore(index, pool);
  if (layer.latent) layer.latent->TakeIn(architecture_, query_.data(), tokens_, pool, latent_query_.data());
  Attend(index, pool);
  if (layer.latent) layer.latent->TakeOut(architecture_, latent_sum_.data(), tokens_, pool, attended_.data());
  Observe(ProductInput::kAttentionOutput, index, attended_.data(), layer.output.columns());
  ProjectOutput(layer, pool, residual);
}

void Attention::Observe(ProductInput input, int64_t layer, const float* x, int64_t columns) {
  if (observer_ != nullptr) observer_->Observe(input, layer, {.x = x, .rows = tokens_, .columns = columns});
}

void Attention::Norm(const Layer& layer, const float* residual, ThreadPool& pool) {
  const int64_t hidden = architecture_.hidden;
  if (layer.quantised) precise_.Resize(tokens_, hidden);
  ForTokens(pool, tokens_, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* normed = normed_.data() + row * hidden;
      BestKernels().rms_norm(residual + row * hidden, layer.norm.data(),
                             static_cast<float>(architecture_.norm_epsilon), hidden, normed);
      if (layer.quantised) precise_.QuantiseRow(normed, row);
    }
  });
}

void Attention::Project(const Layer& layer, ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  const int64_t hidden = architecture_.hidden;
  struct Part {
    const PackedMatrix* weights;
    const std::vector<float>* bias;
    float* out;
    float* planes;
    int64_t groups;
  };
  const int64_t plane_rows = 2 * tokens_;
  Grow(planes_, plane_rows * (layer.query.rows() + layer.key.rows() + layer.value.rows()));
  float* query_out = architecture_.latent.query_rank > 0 ? query_latent_.data() : query_.data();
  float* key_planes = planes_.data() + plane_rows * layer.query.rows();
  float* value_planes = key_planes + plane_rows * layer.key.rows();
  Part parts[] = {{&layer.query, &layer.query_bias, query_out, planes_.data(), 0},
                  {&layer.key, &layer.key_bias, key_.data(), key_planes, 0},
                  {&layer.value, &layer.value_bias, value_.data(), value_planes, 0}};
  int64_t groups = 0;
  for (Part& part : parts) groups += part.groups = (part.weights->rows() + kRowGroup - 1) / kRowGroup;
  pool.ParallelFor(groups, 1, [&](int64_t begin, int64_t end) {
    for (const Part& part : parts) {
      const int64_t first = std::max<int64_t>(begin, 0) * kRowGroup;
      const int64_t last = std::min(end * kRowGroup, part.weights->rows());
      const int64_t rows = part.weights->rows();
      if (first < last) {
        if (part.weights->quantised()) {
          PreciseMatmul(*part.weights, first, last, precise_, tokens_, part.planes, part.out);
        } else {
          kernels.matmul(*part.weights, first, last, normed_.data(), hidden, nullptr, tokens_, part.out,
                         rows);
        }
        for (int64_t token = 0; token < tokens_ && !part.bias->empty(); ++token) {
          kernels.add(part.out + token * rows + first, part.bias->data() + first, last - first);
        }
      }
      begin -= part.groups;
      end -= part.groups;
    }
  });
}

void Attention::StoreHead(int64_t layer, const KvSequence& cache, int64_t position, int64_t head, bool values,
                          const float* x) {
  const KvLayout& layout = cache.pool().layout();
  std::byte* block = cache.pool().Block(cache.blocks()[position / kKvBlockTokens]) +
                     layout.Offset(layer, values) + head * layout.head_bytes(values);
  const int64_t token = position % kKvBlockTokens;
  StoreKv(layout.format, values, x, layout.width(values), token, kKvBlockTokens, block);
}

void Attention::NormAndClip(const Layer& layer, int64_t row) {
  const Architecture& a = architecture_;
  const auto clip = static_cast<float>(a.projection_clip);
  const auto finish = [&](AlignedVector<float>& buffer, int64_t heads, const std::vector<float>& weight) {
    const int64_t count = heads * a.head_dim;
    float* x = buffer.data() + row * count;
    const auto width = static_cast<int64_t>(weight.size());
    for (int64_t at = 0; at < count && width > 0; at += width) {
      BestKernels().rms_norm(x + at, weight.data(), static_cast<float>(a.norm_epsilon), width, x + at);
    }
    for (int64_t i = 0; i < count && clip > 0.0f; ++i) x[i] = std::clamp(x[i], -clip, clip);
  };
  finish(query_, a.query_heads, layer.query_norm);
  finish(key_, a.kv_heads, layer.key_norm);
  finish(value_, a.kv_heads, {});
}

void Attention::NormLatent(const Layer& layer, int64_t row) {
  const LatentAttention& latent = architecture_.latent;
  float* key = key_.data() + row * architecture_.cached_key_dim();
  BestKernels().rms_norm(key, layer.latent->latent_norm().data(), static_cast<float>(latent.norm_epsilon),
                         latent.kv_rank, key);
}

void Attention::ProjectQueryLatent(const Layer& layer, ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  const int64_t rank = architecture_.latent.query_rank;
  const PackedMatrix& weights = layer.latent->query_up();
  const bool quantised = weights.quantised();
  if (quantised) precise_.Resize(tokens_, rank);
  ForTokens(pool, tokens_, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* x = query_latent_.data() + row * rank;
      kernels.rms_norm(x, layer.latent->query_norm().data(),
                       static_cast<float>(architecture_.latent.norm_epsilon), rank, x);
      if (quantised) precise_.QuantiseRow(x, row);
    }
  });
  if (quantised) Grow(planes_, 2 * tokens_ * weights.rows());
  pool.ParallelFor(weights.rows(), kRowGroup, [&](int64_t begin, int64_t end) {
    if (quantised) {
      PreciseMatmul(weights, begin, end, precise_, tokens_, planes_.data(), query_.data());
    } else {
      kernels.matmul(weights, begin, end, query_latent_.data(), rank, nullptr, tokens_, query_.data(),
                     weights.rows());
    }
  });
}

void Attention::Rotate(int64_t row) {
  const Architecture& a = architecture_;
  const float* cos_sin = cos_sin_.data() + row * a.rope_dims;
  // With a latent the rotated numbers come last.
  const int64_t first_query = a.latent_attention() ? a.head_dim - a.rope_dims : 0;
  const int64_t first_key = a.latent_attention() ? a.latent.kv_rank : 0;
  BestKernels().rope(query_.data() + row * a.query_heads * a.head_dim + first_query, a.query_heads,
                     a.head_dim, a.rope_dims, a.rope_layout, cos_sin);
  const int64_t key_dim = a.cached_key_dim();
  BestKernels().rope(key_.data() + row * a.kv_heads * key_dim + first_key, a.kv_heads, key_dim, a.rope_dims,
                     a.rope_layout, cos_sin);
}

void Attention::RotateAndStore(int64_t index, ThreadPool& pool) {
  const Architecture& a = architecture_;
  const Layer& layer = layers_[index];
  const int64_t key_dim = a.cached_key_dim();
  const int64_t value_dim = a.cached_value_dim();
  int64_t first_row = 0;
  for (const SequenceStep& step : steps_) {
    const auto rows = static_cast<int64_t>(step.tokens.size());
    ForTokens(pool, rows, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = first_row + i;
        layer.latent ? NormLatent(layer, row) : NormAndClip(layer, row);
        Rotate(row);
        const float* keys = key_.data() + row * a.kv_heads * key_dim;
        // A latent is key and value.
        const float* values = layer.latent ? keys : value_.data() + row * a.kv_heads * value_dim;
        const int64_t position = step.cache->length() + i;
        for (int64_t head = 0; head < a.kv_heads; ++head) {
          StoreHead(index, *step.cache, position, head, false, keys + head * key_dim);
          StoreHead(index, *step.cache, position, head, true, values + head * value_dim);
        }
      }
    });
    first_row += rows;
  }
}

std::vector<Attention::Work> Attention::Share() const {
  const Architecture& a = architecture_;
  const int64_t heads = a.query_heads / a.kv_heads;
  const int64_t most = a.latent_attention() ? kWorkHeads : heads;
  std::vector<Work> work;
  int64_t batch_row = 0;
  for (const SequenceStep& step : steps_) {
    const auto rows = static_cast<int64_t>(step.tokens.size());
    // Heads outside: threads that run side by side write other rows, not other parts of the same ones.
    for (int64_t head = 0; head < a.kv_heads; ++head) {
      for (int64_t first = 0; first < heads; first += most) {
        for (int64_t row = 0; row < rows; row += kWorkRows) {
          work.push_back({&step, batch_row + row, row, std::min(kWorkRows, rows - row), head, first,
                          std::min(most, heads - first)});
        }
      }
    }
    batch_row += rows;
  }
  return work;
}

void Attention::Attend(int64_t layer, ThreadPool& pool) {
  const std::vector<Work> work = Share();
  std::atomic<size_t> next = 0;
  pool.Run([&](int) {
    std::vector<const std::byte*> keys, values;
    for (size_t at = next.fetch_add(1); at < work.size(); at = next.fetch_add(1)) {
      AttendTo(layer, work[at], keys, values);
    }
  });
}

void Attention::AttendTo(int64_t layer, const Work& unit, std::vector<const std::byte*>& keys,
                         std::vector<const std::byte*>& values) {
  const Architecture& a = architecture_;
  const bool latent = a.latent_attention();
  const int64_t key_dim = a.cached_key_dim();
  const int64_t value_dim = a.cached_value_dim();
  const std::vector<float>& sinks = layers_[layer].sinks;
  KvSequence& cache = *unit.step->cache;
  const KvLayout& layout = cache.pool().layout();
  const int64_t first_position = cache.length() + unit.first_row;
  keys.clear();
  values.clear();
  for (int64_t block = 0; block < KvBlocksFor(first_position + unit.rows); ++block) {
    const std::byte* base = cache.pool().Block(cache.blocks()[block]);
    keys.push_back(base + layout.Offset(layer, false) + unit.kv_head * layout.head_bytes(false));
    values.push_back(base + layout.Offset(layer, true) + unit.kv_head * layout.head_bytes(true));
  }
  const int64_t head = unit.kv_head * (a.query_heads / a.kv_heads) + unit.first_head;
  const int64_t place = unit.batch_row * a.query_heads + head;
  BestKernels().attention({.queries = (latent ? latent_query_ : query_).data() + place * key_dim,
                           .query_rows = unit.rows,
                           .query_stride = a.query_heads * key_dim,
                           .heads = unit.heads,
                           .head_dim = key_dim,
                           .value_dim = value_dim,
                           .key_blocks = keys.data(),
                           .value_blocks = values.data(),
                           .block_tokens = kKvBlockTokens,
                           .format = layout.format,
                           .first_position = first_position,
                           .window = a.window(layer),
                           .scale = a.attention_scale > 0.0
                                        ? static_cast<float>(a.attention_scale)
                                        : 1.0f / std::sqrt(static_cast<float>(a.head_dim)),
                           .sinks = sinks.empty() ? nullptr : sinks.data() + head,
                           .out = (latent ? latent_sum_ : attended_).data() + place * value_dim,
                           .out_stride = a.query_heads * value_dim});
}

void Attention::ProjectOutput(const Layer& layer, ThreadPool& pool, float* residual) {
  const Kernels& kernels = BestKernels();
  const int64_t hidden = architecture_.hidden;
  const int64_t width = layer.output.columns();
  const bool quantise = layer.output.quantised();
  if (quantise) {
    blocks_.Resize(tokens_, width);
    ForTokens(pool, tokens_, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        kernels.quantise_row(attended_.data() + row * width, row, blocks_);
      }
    });
  }
  pool.ParallelFor(hidden, kRowGroup, [&](int64_t begin, int64_t end) {
    kernels.matmul(layer.output, begin, end, attended_.data(), width, quantise ? &blocks_ : nullptr, tokens_,
                   normed_.data(), hidden);
    for (int64_t token = 0; token < tokens_; ++token) {
      float* product = normed_.data() + token * hidden + begin;
      if (!layer.output_bias.empty()) kernels.add(product, layer.output_bias.data() + begin, end - begin);
      kernels.add(residual + token * hidden + begin, product, end - begin);
    }
  });
}

}  // namespace conclave::engine
