#include "engine/model/transformer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <utility>

#include "engine/kernels/kv_storage.h"

namespace conclave::engine {
namespace {

/// Query rows that one unit of attention work takes at most, so that a long prompt is shared among threads.
constexpr int64_t kAttentionRows = 16;
/// Below this many tokens, per-token work costs less than a meeting of the threads.
constexpr int64_t kTokensWorthSharing = 8;

Result<const TensorView*> Require(const ModelFile& file, const std::string& name) {
  const TensorView* tensor = file.Find(name);
  if (tensor == nullptr) return InvalidArgument(file.path() + ": tensor '" + name + "' is missing");
  return tensor;
}

/// A one-dimensional tensor (norm weight, bias) as floats.
Result<std::vector<float>> LoadVector(const ModelFile& file, const std::string& name, int64_t size) {
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* tensor, Require(file, name));
  if (tensor->elements() != size) {
    return InvalidArgument(file.path() + ": tensor '" + name + "' has " + std::to_string(tensor->elements()) +
                           " numbers; the architecture needs " + std::to_string(size));
  }
  std::vector<float> values(size);
  DequantiseRow(tensor->dtype, tensor->data, size, values.data());
  return values;
}

Result<PackedMatrix> LoadMatrix(const ModelFile& file, const std::string& name) {
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* tensor, Require(file, name));
  return PackedMatrix::Pack(*tensor);
}

/// A matrix of `columns` columns in float32, whatever its format: routers decide between experts, and are
/// small.
Result<PackedMatrix> LoadFloats(const ModelFile& file, const std::string& name, int64_t columns) {
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* tensor, Require(file, name));
  const int64_t rows = tensor->elements() / columns;
  std::vector<float> values(rows * columns);
  const int64_t row_bytes = *RowBytes(tensor->dtype, columns);
  for (int64_t row = 0; row < rows; ++row) {
    DequantiseRow(tensor->dtype, tensor->data + row * row_bytes, columns, values.data() + row * columns);
  }
  return PackedMatrix::Pack({.name = name,
                             .dtype = DType::kF32,
                             .rank = 2,
                             .shape = {rows, columns},
                             .data = reinterpret_cast<const std::byte*>(values.data()),
                             .bytes = static_cast<int64_t>(values.size() * sizeof(float))});
}

void Grow(AlignedVector<float>& buffer, int64_t size) {
  if (buffer.size() < static_cast<size_t>(size)) buffer.resize(size);
}

void ForTokens(ThreadPool& pool, int64_t tokens, const std::function<void(int64_t, int64_t)>& task) {
  if (tokens < kTokensWorthSharing) {
    task(0, tokens);
  } else {
    pool.ParallelFor(tokens, 1, task);
  }
}

}  // namespace

struct Transformer::AttentionWork {
  const SequenceStep* step;
  int64_t batch_row;  ///< of the unit's first row, within the step
  int64_t first_row;  ///< within the sequence's new tokens
  int64_t rows;
  int64_t kv_head;
};

Transformer::Transformer(const ModelDescription& description)
    : architecture_(description.architecture),
      layers_(description.architecture.layers),
      rope_(description.architecture) {}

Result<std::unique_ptr<Transformer>> Transformer::Load(const ModelFile& file,
                                                       const ModelDescription& description,
                                                       ThreadPool& pool) {
  const WeightNames& names = description.names;
  CONCLAVE_RETURN_IF_ERROR(Require(file, names.embedding).status());
  std::unique_ptr<Transformer> model(new Transformer(description));
  if (!description.architecture.tied_embeddings) model->embedding_ = *file.Find(names.embedding);
  CONCLAVE_ASSIGN_OR_RETURN(model->output_norm_,
                            LoadVector(file, names.output_norm, description.architecture.hidden));
  const std::string& head = description.architecture.tied_embeddings ? names.embedding : names.output;
  const ExpertLayout experts(file, description);
  std::vector<Status> failures(model->layers_.size() + 1);
  pool.ParallelFor(static_cast<int64_t>(failures.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (i > 0) {
        failures[i] = model->LoadLayer(file, description, experts, i - 1);
        continue;
      }
      auto packed = LoadMatrix(file, head);
      failures[i] = packed.status();
      if (packed.ok()) model->output_ = *std::move(packed);
    }
  });
  for (const Status& failure : failures) CONCLAVE_RETURN_IF_ERROR(failure);
  model->weight_bytes_ = model->output_.bytes();
  for (const Layer& layer : model->layers_) {
    model->weight_bytes_ +=
        layer.query.bytes() + layer.key.bytes() + layer.value.bytes() + layer.output.bytes();
  }
  return model;
}

Status Transformer::LoadLayer(const ModelFile& file, const ModelDescription& description,
                              const ExpertLayout& experts, int64_t index) {
  const WeightNames& names = description.names;
  const Architecture& a = architecture_;
  Layer& layer = layers_[index];
  auto name = [&](const std::string& pattern) { return WeightNames::ForLayer(pattern, index); };
  CONCLAVE_ASSIGN_OR_RETURN(layer.attention_norm, LoadVector(file, name(names.attention_norm), a.hidden));
  CONCLAVE_ASSIGN_OR_RETURN(layer.feed_forward_norm,
                            LoadVector(file, name(names.feed_forward_norm), a.hidden));
  CONCLAVE_ASSIGN_OR_RETURN(layer.query, LoadMatrix(file, name(names.query)));
  CONCLAVE_ASSIGN_OR_RETURN(layer.key, LoadMatrix(file, name(names.key)));
  CONCLAVE_ASSIGN_OR_RETURN(layer.value, LoadMatrix(file, name(names.value)));
  CONCLAVE_ASSIGN_OR_RETURN(layer.output, LoadMatrix(file, name(names.attention_output)));
  layer.attention_quantised = layer.query.quantised() || layer.key.quantised() || layer.value.quantised();
  if (a.attention_bias) {
    const int64_t kv_width = a.kv_heads * a.head_dim;
    CONCLAVE_ASSIGN_OR_RETURN(layer.query_bias, LoadVector(file, WeightNames::BiasOf(name(names.query)),
                                                           a.query_heads * a.head_dim));
    CONCLAVE_ASSIGN_OR_RETURN(layer.key_bias,
                              LoadVector(file, WeightNames::BiasOf(name(names.key)), kv_width));
    CONCLAVE_ASSIGN_OR_RETURN(layer.value_bias,
                              LoadVector(file, WeightNames::BiasOf(name(names.value)), kv_width));
  }
  if (a.query_key_norm != QueryKeyNorm::kNone) {
    const bool all = a.query_key_norm == QueryKeyNorm::kAll;
    const int64_t query_width = all ? a.query_heads * a.head_dim : a.head_dim;
    const int64_t key_width = all ? a.kv_heads * a.head_dim : a.head_dim;
    CONCLAVE_ASSIGN_OR_RETURN(layer.query_norm, LoadVector(file, name(names.query_norm), query_width));
    CONCLAVE_ASSIGN_OR_RETURN(layer.key_norm, LoadVector(file, name(names.key_norm), key_width));
  }
  if (a.attention_output_bias) {
    CONCLAVE_ASSIGN_OR_RETURN(layer.output_bias,
                              LoadVector(file, WeightNames::BiasOf(name(names.attention_output)), a.hidden));
  }
  if (a.attention_sinks) {
    CONCLAVE_ASSIGN_OR_RETURN(layer.sinks, LoadVector(file, name(names.sinks), a.query_heads));
  }
  CONCLAVE_ASSIGN_OR_RETURN(layer.feed_forward_quantised, experts.quantised(index));
  if (!a.mixed(index)) return Status::Ok();
  CONCLAVE_ASSIGN_OR_RETURN(layer.router, LoadFloats(file, name(names.router), a.hidden));
  if (a.mixture.router_bias) {
    CONCLAVE_ASSIGN_OR_RETURN(layer.router_bias,
                              LoadVector(file, WeightNames::BiasOf(name(names.router)), a.mixture.experts));
  }
  if (!a.mixture.shared_gate) return Status::Ok();
  CONCLAVE_ASSIGN_OR_RETURN(layer.shared_scale, LoadFloats(file, name(names.shared_scale), a.hidden));
  return Status::Ok();
}

Status Transformer::CheckSteps(std::span<const SequenceStep> steps) const {
  for (const SequenceStep& step : steps) {
    const int64_t end = step.cache->length() + static_cast<int64_t>(step.tokens.size());
    if (end > architecture_.context) {
      return InvalidArgument("position " + std::to_string(end - 1) + " is past the model's context of " +
                             std::to_string(architecture_.context) + " tokens");
    }
    if (end > step.cache->capacity())
      return InvalidArgument("the sequence's cache has no room for its tokens");
    for (const int32_t token : step.tokens) {
      if (token < 0 || token >= architecture_.vocabulary) {
        return InvalidArgument("token id " + std::to_string(token) + " is outside the vocabulary of " +
                               std::to_string(architecture_.vocabulary));
      }
    }
  }
  return Status::Ok();
}

Status Transformer::Forward(std::span<const SequenceStep> steps, FeedForward& feed_forward, ThreadPool& pool,
                            float* logits) {
  CONCLAVE_RETURN_IF_ERROR(CheckSteps(steps));
  tokens_ = 0;
  for (const SequenceStep& step : steps) tokens_ += static_cast<int64_t>(step.tokens.size());
  if (tokens_ == 0) return Status::Ok();
  Embed(steps, pool);
  for (int64_t index = 0; index < architecture_.layers; ++index) {
    const Layer& layer = layers_[index];
    NormRows(layer.attention_norm.data(), false, layer.attention_quantised, pool);
    Observe(ProductInput::kAttention, index, normed_.data(), tokens_, architecture_.hidden);
    Project(layer, pool);
    RotateAndStore(index, steps, pool);
    Attend(index, steps, pool);
    Observe(ProductInput::kAttentionOutput, index, attended_.data(), tokens_,
            architecture_.query_heads * architecture_.head_dim);
    ProjectOutput(layer, pool);
    NormRows(layer.feed_forward_norm.data(), layer.feed_forward_quantised, false, pool);
    Observe(ProductInput::kFeedForward, index, normed_.data(), tokens_, architecture_.hidden);
    const bool mixed = architecture_.mixed(index);
    if (mixed) Route(layer, pool);
    const FeedForwardInput input{.tokens = tokens_,
                                 .x = normed_.data(),
                                 .x8 = layer.feed_forward_quantised ? &blocks_ : nullptr,
                                 .routing = mixed ? &routing_ : nullptr};
    CONCLAVE_RETURN_IF_ERROR(feed_forward.AddTo(index, input, pool, residual_.data()));
  }
  Logits(steps, pool, logits);
  for (const SequenceStep& step : steps) step.cache->Advance(static_cast<int64_t>(step.tokens.size()));
  return Status::Ok();
}

void Transformer::Observe(ProductInput input, int64_t layer, const float* x, int64_t rows, int64_t columns) {
  if (observer_ != nullptr) observer_->Observe(input, layer, {.x = x, .rows = rows, .columns = columns});
}

void Transformer::Embed(std::span<const SequenceStep> steps, ThreadPool& pool) {
  const Architecture& a = architecture_;
  Grow(residual_, tokens_ * a.hidden);
  Grow(normed_, tokens_ * a.hidden);
  Grow(query_, tokens_ * a.query_heads * a.head_dim);
  Grow(attended_, tokens_ * a.query_heads * a.head_dim);
  Grow(key_, tokens_ * a.kv_heads * a.head_dim);
  Grow(value_, tokens_ * a.kv_heads * a.head_dim);
  Grow(cos_sin_, tokens_ * a.rope_dims);
  embedded_.clear();
  for (const SequenceStep& step : steps) {
    for (size_t i = 0; i < step.tokens.size(); ++i) {
      embedded_.push_back({step.tokens[i], step.cache->length() + static_cast<int64_t>(i)});
    }
  }
  ForTokens(pool, tokens_, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      EmbedToken(embedded_[row].token, residual_.data() + row * a.hidden);
      rope_.CosSin(embedded_[row].position, cos_sin_.data() + row * a.rope_dims);
    }
  });
}

void Transformer::EmbedToken(int32_t token, float* out) const {
  if (!embedding_.has_value()) return output_.UnpackRow(token, out);
  const int64_t row_bytes = *RowBytes(embedding_->dtype, architecture_.hidden);
  DequantiseRow(embedding_->dtype, embedding_->data + token * row_bytes, architecture_.hidden, out);
}

void Transformer::NormRows(const float* weight, bool quantise, bool precise, ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  const int64_t hidden = architecture_.hidden;
  if (quantise) blocks_.Resize(tokens_, hidden);
  if (precise) precise_.Resize(tokens_, hidden);
  ForTokens(pool, tokens_, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* normed = normed_.data() + row * hidden;
      kernels.rms_norm(residual_.data() + row * hidden, weight,
                       static_cast<float>(architecture_.norm_epsilon), hidden, normed);
      if (quantise) kernels.quantise_row(normed, row, blocks_);
      if (precise) precise_.QuantiseRow(normed, row);
    }
  });
}

void Transformer::Project(const Layer& layer, ThreadPool& pool) {
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

void Transformer::StoreHead(int64_t layer, const KvSequence& cache, int64_t position, int64_t head,
                            bool values, const float* x) {
  const KvLayout& layout = cache.pool().layout();
  std::byte* block = cache.pool().Block(cache.blocks()[position / kKvBlockTokens]) +
                     layout.Offset(layer, values) + head * layout.head_bytes();
  const int64_t token = position % kKvBlockTokens;
  StoreKv(layout.format, values, x, layout.head_dim, token, kKvBlockTokens, block);
}

void Transformer::NormAndClip(const Layer& layer, int64_t row) {
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

void Transformer::Route(const Layer& layer, ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  const ExpertMixture& mixture = architecture_.mixture;
  const int64_t hidden = architecture_.hidden;
  Grow(router_logits_, tokens_ * mixture.experts);
  Grow(shared_logits_, tokens_);
  routing_.Resize(mixture, tokens_);
  ForTokens(pool, tokens_, [&](int64_t begin, int64_t end) {
    const auto multiply = [&](const PackedMatrix& weights, float* out) {
      kernels.matmul(weights, 0, weights.rows(), normed_.data() + begin * hidden, hidden, nullptr,
                     end - begin, out + begin * weights.rows(), weights.rows());
    };
    multiply(layer.router, router_logits_.data());
    for (int64_t token = begin; token < end && !layer.router_bias.empty(); ++token) {
      kernels.add(router_logits_.data() + token * mixture.experts, layer.router_bias.data(), mixture.experts);
    }
    if (mixture.shared_gate) multiply(layer.shared_scale, shared_logits_.data());
    ChooseExperts(mixture, begin, end, router_logits_.data(), shared_logits_.data(), routing_);
  });
}

void Transformer::RotateAndStore(int64_t index, std::span<const SequenceStep> steps, ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  const Architecture& a = architecture_;
  const Layer& layer = layers_[index];
  int64_t first_row = 0;
  for (const SequenceStep& step : steps) {
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

void Transformer::Attend(int64_t layer, std::span<const SequenceStep> steps, ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  const Architecture& a = architecture_;
  const int64_t heads = a.query_heads / a.kv_heads;
  const int64_t stride = a.query_heads * a.head_dim;
  const std::vector<float>& sinks = layers_[layer].sinks;
  std::vector<AttentionWork> work;
  int64_t batch_row = 0;
  for (const SequenceStep& step : steps) {
    const int64_t rows = static_cast<int64_t>(step.tokens.size());
    // Heads outside: threads that run side by side write other rows, not other parts of the same ones.
    for (int64_t head = 0; head < a.kv_heads; ++head) {
      for (int64_t row = 0; row < rows; row += kAttentionRows) {
        work.push_back({&step, batch_row + row, row, std::min(kAttentionRows, rows - row), head});
      }
    }
    batch_row += rows;
  }
  std::atomic<size_t> next = 0;
  pool.Run([&](int) {
    std::vector<const std::byte*> keys, values;
    for (size_t at = next.fetch_add(1); at < work.size(); at = next.fetch_add(1)) {
      const AttentionWork& unit = work[at];
      KvSequence& cache = *unit.step->cache;
      const KvLayout& layout = cache.pool().layout();
      const int64_t first_position = cache.length() + unit.first_row;
      const int64_t end_position = first_position + unit.rows;
      keys.clear();
      values.clear();
      for (int64_t block = 0; block < KvBlocksFor(end_position); ++block) {
        const std::byte* base =
            cache.pool().Block(cache.blocks()[block]) + unit.kv_head * layout.head_bytes();
        keys.push_back(base + layout.Offset(layer, false));
        values.push_back(base + layout.Offset(layer, true));
      }
      const int64_t offset = unit.batch_row * stride + unit.kv_head * heads * a.head_dim;
      kernels.attention({.queries = query_.data() + offset,
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
                         .scale = a.attention_scale > 0.0 ? static_cast<float>(a.attention_scale)
                                                          : 1.0f / std::sqrt(static_cast<float>(a.head_dim)),
                         .sinks = sinks.empty() ? nullptr : sinks.data() + unit.kv_head * heads,
                         .out = attended_.data() + offset,
                         .out_stride = stride});
    }
  });
}

void Transformer::ProjectOutput(const Layer& layer, ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  const int64_t hidden = architecture_.hidden;
  const int64_t width = architecture_.query_heads * architecture_.head_dim;
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
      kernels.add(residual_.data() + token * hidden + begin, product, end - begin);
    }
  });
}

void Transformer::Logits(std::span<const SequenceStep> steps, ThreadPool& pool, float* logits) {
  const Kernels& kernels = BestKernels();
  const Architecture& a = architecture_;
  int64_t wanted = 0;
  int64_t end_row = 0;
  for (const SequenceStep& step : steps) {
    end_row += static_cast<int64_t>(step.tokens.size());
    for (int64_t i = step.logits_rows; i > 0; --i, ++wanted) {
      kernels.rms_norm(residual_.data() + (end_row - i) * a.hidden, output_norm_.data(),
                       static_cast<float>(a.norm_epsilon), a.hidden, normed_.data() + wanted * a.hidden);
    }
  }
  if (wanted == 0) return;
  Observe(ProductInput::kHead, 0, normed_.data(), wanted, a.hidden);
  const bool quantised = output_.quantised();
  if (quantised) {
    precise_.Resize(wanted, a.hidden);
    for (int64_t row = 0; row < wanted; ++row) precise_.QuantiseRow(normed_.data() + row * a.hidden, row);
    Grow(planes_, 2 * wanted * a.vocabulary);
  }
  pool.ParallelFor(a.vocabulary, kRowGroup, [&](int64_t begin, int64_t end) {
    if (quantised) {
      PreciseMatmul(output_, begin, end, precise_, wanted, planes_.data(), logits);
    } else {
      kernels.matmul(output_, begin, end, normed_.data(), a.hidden, nullptr, wanted, logits, a.vocabulary);
    }
  });
}

}  // namespace conclave::engine
