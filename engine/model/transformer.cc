#include "engine/model/transformer.h"

#include <string>
#include <utility>

#include "engine/model/load_weights.h"
#include "engine/model/step_work.h"

namespace conclave::engine {

Transformer::Transformer(const ModelDescription& description)
    : architecture_(description.architecture),
      attention_(description.architecture),
      layers_(description.architecture.layers) {}

Result<std::unique_ptr<Transformer>> Transformer::Load(const ModelFile& file,
                                                       const ModelDescription& description,
                                                       ThreadPool& pool) {
  const WeightNames& names = description.names;
  CONCLAVE_RETURN_IF_ERROR(file.Require(names.embedding).status());
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
  model->weight_bytes_ = model->output_.bytes() + model->attention_.weight_bytes();
  return model;
}

Status Transformer::LoadLayer(const ModelFile& file, const ModelDescription& description,
                              const ExpertLayout& experts, int64_t index) {
  const WeightNames& names = description.names;
  const Architecture& a = architecture_;
  Layer& layer = layers_[index];
  const auto name = [&](const std::string& pattern) { return WeightNames::ForLayer(pattern, index); };
  CONCLAVE_RETURN_IF_ERROR(attention_.LoadLayer(file, description, index));
  CONCLAVE_ASSIGN_OR_RETURN(layer.feed_forward_norm,
                            LoadVector(file, name(names.feed_forward_norm), a.hidden));
  CONCLAVE_ASSIGN_OR_RETURN(layer.feed_forward_quantised, experts.quantised(index));
  if (!a.mixed(index)) return Status::Ok();
  CONCLAVE_ASSIGN_OR_RETURN(layer.router, LoadFloats(file, name(names.router), a.hidden));
  if (a.mixture.router_bias) {
    CONCLAVE_ASSIGN_OR_RETURN(layer.router_bias,
                              LoadVector(file, WeightNames::BiasOf(name(names.router)), a.mixture.experts));
  }
  if (a.mixture.choice_bias) {
    CONCLAVE_ASSIGN_OR_RETURN(layer.choice_bias,
                              LoadVector(file, name(names.choice_bias), a.mixture.experts));
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
  attention_.Begin(steps, pool);
  for (int64_t index = 0; index < architecture_.layers; ++index) {
    const Layer& layer = layers_[index];
    attention_.AddTo(index, pool, residual_.data());
    NormRows(layer, pool);
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
  embedded_.clear();
  for (const SequenceStep& step : steps) {
    embedded_.insert(embedded_.end(), step.tokens.begin(), step.tokens.end());
  }
  ForTokens(pool, tokens_, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      EmbedToken(embedded_[row], residual_.data() + row * a.hidden);
    }
  });
}

void Transformer::EmbedToken(int32_t token, float* out) const {
  if (!embedding_.has_value()) return output_.UnpackRow(token, out);
  const int64_t row_bytes = *RowBytes(embedding_->dtype, architecture_.hidden);
  DequantiseRow(embedding_->dtype, embedding_->data + token * row_bytes, architecture_.hidden, out);
}

void Transformer::NormRows(const Layer& layer, ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  const int64_t hidden = architecture_.hidden;
  if (layer.feed_forward_quantised) blocks_.Resize(tokens_, hidden);
  ForTokens(pool, tokens_, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* normed = normed_.data() + row * hidden;
      kernels.rms_norm(residual_.data() + row * hidden, layer.feed_forward_norm.data(),
                       static_cast<float>(architecture_.norm_epsilon), hidden, normed);
      if (layer.feed_forward_quantised) kernels.quantise_row(normed, row, blocks_);
    }
  });
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
    ChooseExperts(mixture, begin, end, router_logits_.data(), shared_logits_.data(), routing_,
                  layer.choice_bias.empty() ? nullptr : layer.choice_bias.data());
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
