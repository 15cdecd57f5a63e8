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

}  // namespace

struct Attention::Work {
  const SequenceStep* step;
  int64_t batch_row;  ///< of the unit's first row, within the step
  int64_t first_row;  ///< within the sequence's new tokens
  int64_t rows;
  int64_t kv_head;
};

Attention::Attention(const Architecture& architecture)
    : architecture_(architecture), layers_(architecture.layers), rope_(architecture) {}

Status Attention::LoadLayer(const ModelFile& file, const ModelDescription& description, int64_t index) {
  const WeightNames& names = description.names;
  Layer& layer = layers_[index];
  const auto name = [&](const std::string& pattern) { return WeightNames::ForLayer(pattern, index); };
  CONCLAVE_ASSIGN_OR_RETURN(layer.norm, LoadVector(file, name(names.attention_norm), architecture_.hidden));
  CONCLAVE_ASSIGN_OR_RETURN(layer.query, LoadMatrix(file, name(names.query)));
  CONCLAVE_ASSIGN_OR_RETURN(layer.key, LoadMatrix(file, name(names.key)));
  CONCLAVE_ASSIGN_OR_RETURN(layer.value, LoadMatrix(file, name(names.value)));
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
  }
  return sum;
}

void Attention::Begin(std::span<const SequenceStep> steps, ThreadPool& pool) {
  const Architecture& a = architecture_;
  steps_ = steps;
  tokens_ = 0;
  for (const SequenceStep& step : steps) tokens_ += static_cast<int64_t>(step.tokens.size());
  Grow(normed_, tokens_ * a.hidden);
  Grow(query_, tokens_ * a.query_heads * a.head_dim);
  Grow(attended_, tokens_ * a.query_heads * a.head_dim);
  Grow(key_, tokens_ * a.kv_heads * a.head_dim);
  Grow(value_, tokens_ * a.kv_heads * a.head_dim);
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
  RotateAndStore(index, pool);
  Attend(index, pool);
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
  float* key_planes = planes_.data() + plane_rows * layer.query.rows();
  float* value_planes = key_planes + plane_rows * layer.key.rows();
  Part parts[] = {{&layer.query, &layer.query_bias, query_.data(), planes_.data(), 0},
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
                     layout.Offset(layer, values) + head * layout.head_bytes();
  const int64_t token = position % kKvBlockTokens;
  StoreKv(layout.format, values, x, layout.head_dim, token, kKvBlockTokens, block);
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

void Attention::RotateAndStore(int64_t index, ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  const Architecture& a = architecture_;
  const Layer& layer = layers_[index];
  int64_t first_row = 0;
  for (const SequenceStep& step : steps_) {
    const int64_t rows = static_cast<int64_t>(step.tokens.size());
    ForTokens(pool, rows, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = first_row + i;
        const float* cos_sin = cos_sin_.data() + row * a.rope_dims;
        float* keys = key_.data() + row * a.kv_heads * a.head_dim;
        const float* values = value_.data() + row * a.kv_heads * a.head_dim;
        NormAndClip(layer, row);
        kernels.rope(query_.data() + row * a.query_heads * a.head_dim, a.query_heads, a.head_dim, a.rope_dims,
                     a.rope_layout, cos_sin);
        kernels.rope(keys, a.kv_heads, a.head_dim, a.rope_dims, a.rope_layout, cos_sin);
        for (int64_t head = 0; head < a.kv_heads; ++head) {
          const int64_t position = step.cache->length() + i;
          StoreHead(index, *step.cache, position, head, false, keys + head * a.head_dim);
          StoreHead(index, *step.cache, position, head, true, values + head * a.head_dim);
        }
      }
    });
    first_row += rows;
  }
}

std::vector<Attention::Work> Attention::Share() const {
  std::vector<Work> work;
  int64_t batch_row = 0;
  for (const SequenceStep& step : steps_) {
    const auto rows = static_cast<int64_t>(step.tokens.size());
    // Heads outside: threads that run side by side write other rows, not other parts of the same ones.
    for (int64_t head = 0; head < architecture_.kv_heads; ++head) {
      for (int64_t row = 0; row < rows; row += kWorkRows) {
        work.push_back({&step, batch_row + row, row, std::min(kWorkRows, rows - row), head});
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
  const int64_t heads = a.query_heads / a.kv_heads;
  const int64_t stride = a.query_heads * a.head_dim;
  const std::vector<float>& sinks = layers_[layer].sinks;
  KvSequence& cache = *unit.step->cache;
  const KvLayout& layout = cache.pool().layout();
  const int64_t first_position = cache.length() + unit.first_row;
  keys.clear();
  values.clear();
  for (int64_t block = 0; block < KvBlocksFor(first_position + unit.rows); ++block) {
    const std::byte* base = cache.pool().Block(cache.blocks()[block]) + unit.kv_head * layout.head_bytes();
    keys.push_back(base + layout.Offset(layer, false));
    values.push_back(base + layout.Offset(layer, true));
  }
  const int64_t offset = unit.batch_row * stride + unit.kv_head * heads * a.head_dim;
  BestKernels().attention({.queries = query_.data() + offset,
                           .query_rows = unit.rows,
                           .query_stride = stride,
                           .heads = heads,
                           .head_dim = a.head_dim,
                           .value_dim = a.head_dim,
                           .key_blocks = keys.data(),
                           .value_blocks = values.data(),
                           .block_tokens = kKvBlockTokens,
                           .format = layout.format,
                           .first_position = first_position,
                           .window = a.window(layer),
                           .scale = a.attention_scale > 0.0
                                        ? static_cast<float>(a.attention_scale)
                                        : 1.0f / std::sqrt(static_cast<float>(a.head_dim)),
                           .sinks = sinks.empty() ? nullptr : sinks.data() + unit.kv_head * heads,
                           .out = attended_.data() + offset,
                           .out_stride = stride});
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
