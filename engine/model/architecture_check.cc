#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <set>

#include "engine/files/quoted.h"
#include "engine/model/architecture_sources.h"
#include "engine/model/fused_experts.h"
#include "engine/model/limits.h"

namespace conclave::engine {
namespace {

Status CheckInt(const char* what, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return Status::Ok();
  return InvalidArgument(std::string(what) + " is " + std::to_string(value) + ", must be from " +
                         std::to_string(low) + " to " + std::to_string(high));
}

/// NaN fails too.
Status CheckDouble(const char* what, double value, double low, double high) {
  if (value >= low && value <= high) return Status::Ok();
  return InvalidArgument(std::string(what) + " is " + std::to_string(value) + ", must be from " +
                         std::to_string(low) + " to " + std::to_string(high));
}

Status CheckFactors(const char* what, const std::vector<float>& factors, int64_t rope_dims) {
  if (static_cast<int64_t>(factors.size()) != rope_dims / 2) {
    return InvalidArgument("the rope scaling's " + std::string(what) + " number " +
                           std::to_string(factors.size()) + ", must be one for each of the " +
                           std::to_string(rope_dims / 2) + " rotated pairs");
  }
  for (const float factor : factors)
    CONCLAVE_RETURN_IF_ERROR(CheckDouble(what, factor, 1e-6, kMaxRopeFactor));
  return Status::Ok();
}

Status CheckRopeScaling(const Architecture& a) {
  using Kind = RopeScaling::Kind;
  const RopeScaling& s = a.rope_scaling;
  if (s.kind == Kind::kNone) return Status::Ok();
  CONCLAVE_RETURN_IF_ERROR(CheckDouble("the rope scaling's factor", s.factor, 1e-6, kMaxRopeFactor));
  if (s.kind == Kind::kLinear || s.kind == Kind::kDynamicNtk) return Status::Ok();
  CONCLAVE_RETURN_IF_ERROR(
      CheckInt("the rope scaling's original context", s.original_context, 2, kMaxContext));
  CONCLAVE_RETURN_IF_ERROR(CheckDouble("the rope scaling's attention factor", s.attention_factor, 0.0, 1e3));
  if (s.kind == Kind::kYarn) {
    CONCLAVE_RETURN_IF_ERROR(CheckDouble("the rope scaling's beta_slow", s.beta_slow, 1e-6, kMaxRopeFactor));
    return CheckDouble("the rope scaling's beta_fast", s.beta_fast, s.beta_slow, kMaxRopeFactor);
  }
  if (s.kind == Kind::kLlama3) {
    CONCLAVE_RETURN_IF_ERROR(
        CheckDouble("the rope scaling's low_freq_factor", s.low_frequency_factor, 1e-6, kMaxRopeFactor));
    // Equal factors would divide by zero between them.
    return CheckDouble("the rope scaling's high_freq_factor", s.high_frequency_factor,
                       s.low_frequency_factor * (1.0 + 1e-6), kMaxRopeFactor);
  }
  CONCLAVE_RETURN_IF_ERROR(CheckFactors("short factors", s.short_factors, a.rope_dims));
  return CheckFactors("long factors", s.long_factors, a.rope_dims);
}

using Shape = std::initializer_list<int64_t>;

std::string ShapeText(const int64_t* sizes, int rank) {
  std::string text = "[";
  for (int i = 0; i < rank; ++i) text += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  return text + "]";
}

Status CheckShape(const std::string& name, const int64_t* sizes, int rank, Shape wanted) {
  const int wanted_rank = static_cast<int>(wanted.size());
  if (rank == wanted_rank && std::equal(wanted.begin(), wanted.end(), sizes)) return Status::Ok();
  return InvalidArgument("tensor " + Quoted(name) + " has the shape " + ShapeText(sizes, rank) +
                         ", must be " + ShapeText(wanted.begin(), wanted_rank));
}

/// Checks a model's tensors one by one, and remembers which the description explains.
class TensorChecker {
 public:
  explicit TensorChecker(const ModelFile& file) : file_(file) {}

  void Allow(std::string name) { explained_.insert(std::move(name)); }

  Status Require(const std::string& name, Shape shape) {
    Allow(name);
    const TensorView* tensor = file_.Find(name);
    if (tensor == nullptr) {
      const std::string* why = file_.WhyUnusable(name);
      if (why == nullptr) return InvalidArgument("tensor " + Quoted(name) + " is missing");
      return Unimplemented("tensor " + Quoted(name) + " " + *why +
                           ", which this engine does not compute with");
    }
    return CheckShape(name, tensor->shape.data(), tensor->rank, shape);
  }

  bool HasBytes(const std::string& name) const { return file_.FindBytes(name) != nullptr; }

  Status RequireBytes(const std::string& name, Shape shape) {
    const ByteTensor* tensor = file_.FindBytes(name);
    if (tensor == nullptr) return InvalidArgument("tensor " + Quoted(name) + " of bytes is missing");
    return CheckShape(name, tensor->shape.data(), tensor->rank, shape);
  }

  /// [columns], or [1, columns].
  Status RequireRow(const std::string& name, int64_t columns) {
    const TensorView* tensor = file_.Find(name);
    return tensor != nullptr && tensor->rank == 1 ? Require(name, {columns}) : Require(name, {1, columns});
  }

  /// Anything else in the file would change the model's answers if it were left out.
  Status RefuseOthers(const std::vector<std::string>& unused_prefixes) const {
    for (const TensorView& tensor : file_.tensors()) {
      const auto begins = [&](const std::string& prefix) { return tensor.name.starts_with(prefix); };
      if (std::ranges::any_of(unused_prefixes, begins)) continue;
      if (explained_.contains(tensor.name) || tensor.name.ends_with(".rotary_emb.inv_freq")) continue;
      return Unimplemented("tensor " + Quoted(tensor.name) +
                           " is no part of the architecture this engine knows");
    }
    return Status::Ok();
  }

 private:
  const ModelFile& file_;
  std::set<std::string, std::less<>> explained_;
};

Status CheckFusedExperts(const Architecture& a, const WeightNames& names, int64_t layer,
                         TensorChecker& checker) {
  const ExpertMixture& mixture = a.mixture;
  const auto require = [&](const std::string& pattern, int64_t rows, int64_t columns) -> Status {
    const std::string name = WeightNames::ForLayer(pattern, layer);
    CONCLAVE_RETURN_IF_ERROR(checker.Require(name + "_bias", {mixture.experts, rows}));
    // In MXFP4 a row is an output, else an input.
    if (!checker.HasBytes(name + "_blocks")) return checker.Require(name, {mixture.experts, columns, rows});
    if (columns % kMxBlock != 0) {
      return InvalidArgument("tensor " + Quoted(name) + ": rows of " + std::to_string(columns) +
                             " numbers are no whole blocks of MXFP4");
    }
    const int64_t blocks = columns / kMxBlock;
    CONCLAVE_RETURN_IF_ERROR(
        checker.RequireBytes(name + "_blocks", {mixture.experts, rows, blocks, kMxBlock / 2}));
    return checker.RequireBytes(name + "_scales", {mixture.experts, rows, blocks});
  };
  CONCLAVE_RETURN_IF_ERROR(require(names.fused_gate_up, 2 * mixture.inner, a.hidden));
  return require(names.fused_down, a.hidden, mixture.inner);
}

/// What [experts, rows, columns] holds is checked as one tensor, else as one of each expert.
Status CheckExpertTensors(const Architecture& a, const WeightNames& names, int64_t layer,
                          TensorChecker& checker) {
  if (!names.fused_gate_up.empty()) return CheckFusedExperts(a, names, layer, checker);
  const ExpertMixture& mixture = a.mixture;
  const auto require = [&](const std::string& pattern, int64_t rows, int64_t columns) -> Status {
    const std::string name = WeightNames::ForLayer(pattern, layer);
    if (mixture.expert_bias) {
      CONCLAVE_RETURN_IF_ERROR(checker.Require(WeightNames::BiasOf(name), {mixture.experts, rows}));
    }
    if (name.find("{}") == std::string::npos) return checker.Require(name, {mixture.experts, rows, columns});
    for (int64_t expert = 0; expert < mixture.experts; ++expert) {
      CONCLAVE_RETURN_IF_ERROR(checker.Require(WeightNames::ForLayer(name, expert), {rows, columns}));
    }
    return Status::Ok();
  };
  CONCLAVE_RETURN_IF_ERROR(require(names.expert_gate, mixture.inner, a.hidden));
  CONCLAVE_RETURN_IF_ERROR(require(names.expert_up, mixture.inner, a.hidden));
  return require(names.expert_down, a.hidden, mixture.inner);
}

Status CheckFeedForward(const ModelDescription& description, int64_t layer, TensorChecker& checker) {
  const Architecture& a = description.architecture;
  const WeightNames& names = description.names;
  const ExpertMixture& mixture = a.mixture;
  const auto require = [&](const std::string& pattern, Shape shape) {
    return checker.Require(WeightNames::ForLayer(pattern, layer), shape);
  };
  if (!a.mixed(layer)) {
    CONCLAVE_RETURN_IF_ERROR(require(names.gate, {a.inner, a.hidden}));
    CONCLAVE_RETURN_IF_ERROR(require(names.up, {a.inner, a.hidden}));
    return require(names.down, {a.hidden, a.inner});
  }
  CONCLAVE_RETURN_IF_ERROR(require(names.router, {mixture.experts, a.hidden}));
  if (mixture.router_bias) {
    CONCLAVE_RETURN_IF_ERROR(require(WeightNames::BiasOf(names.router), {mixture.experts}));
  }
  if (mixture.choice_bias) CONCLAVE_RETURN_IF_ERROR(require(names.choice_bias, {mixture.experts}));
  CONCLAVE_RETURN_IF_ERROR(CheckExpertTensors(a, names, layer, checker));
  if (mixture.shared_inner == 0) return Status::Ok();
  CONCLAVE_RETURN_IF_ERROR(require(names.shared_gate, {mixture.shared_inner, a.hidden}));
  CONCLAVE_RETURN_IF_ERROR(require(names.shared_up, {mixture.shared_inner, a.hidden}));
  CONCLAVE_RETURN_IF_ERROR(require(names.shared_down, {a.hidden, mixture.shared_inner}));
  if (!mixture.shared_gate) return Status::Ok();
  return checker.RequireRow(WeightNames::ForLayer(names.shared_scale, layer), a.hidden);
}

Status CheckLatent(const Architecture& a, const WeightNames& names, int64_t layer, TensorChecker& checker) {
  const LatentAttention& latent = a.latent;
  const int64_t plain = a.head_dim - a.rope_dims;
  const auto require = [&](const std::string& pattern, Shape shape) {
    return checker.Require(WeightNames::ForLayer(pattern, layer), shape);
  };
  if (latent.query_rank > 0) {
    CONCLAVE_RETURN_IF_ERROR(require(names.latent_query, {latent.query_rank, a.hidden}));
    CONCLAVE_RETURN_IF_ERROR(require(names.latent_query_norm, {latent.query_rank}));
    CONCLAVE_RETURN_IF_ERROR(require(names.latent_query_up, {a.query_heads * a.head_dim, latent.query_rank}));
  } else {
    CONCLAVE_RETURN_IF_ERROR(require(names.query, {a.query_heads * a.head_dim, a.hidden}));
  }
  CONCLAVE_RETURN_IF_ERROR(require(names.key, {latent.kv_rank + a.rope_dims, a.hidden}));
  CONCLAVE_RETURN_IF_ERROR(require(names.latent_norm, {latent.kv_rank}));
  if (!names.latent_both.empty()) {
    return require(names.latent_both, {a.query_heads * (plain + latent.value_dim), latent.kv_rank});
  }
  CONCLAVE_RETURN_IF_ERROR(require(names.latent_key, {a.query_heads, latent.kv_rank, plain}));
  return require(names.latent_value, {a.query_heads, latent.value_dim, latent.kv_rank});
}

Status CheckLayer(const ModelDescription& description, int64_t layer, TensorChecker& checker) {
  const Architecture& a = description.architecture;
  const WeightNames& names = description.names;
  const int64_t query_width = a.query_heads * a.head_dim;
  const int64_t kv_width = a.kv_heads * a.head_dim;
  const auto require = [&](const std::string& pattern, Shape shape) {
    return checker.Require(WeightNames::ForLayer(pattern, layer), shape);
  };
  CONCLAVE_RETURN_IF_ERROR(require(names.attention_norm, {a.hidden}));
  if (a.latent_attention()) {
    CONCLAVE_RETURN_IF_ERROR(CheckLatent(a, names, layer, checker));
  } else {
    CONCLAVE_RETURN_IF_ERROR(require(names.query, {query_width, a.hidden}));
    CONCLAVE_RETURN_IF_ERROR(require(names.key, {kv_width, a.hidden}));
    CONCLAVE_RETURN_IF_ERROR(require(names.value, {kv_width, a.hidden}));
  }
  CONCLAVE_RETURN_IF_ERROR(require(names.attention_output, {a.hidden, a.query_heads * a.output_dim()}));
  CONCLAVE_RETURN_IF_ERROR(require(names.feed_forward_norm, {a.hidden}));
  CONCLAVE_RETURN_IF_ERROR(CheckFeedForward(description, layer, checker));
  if (a.attention_sinks) CONCLAVE_RETURN_IF_ERROR(require(names.sinks, {a.query_heads}));
  if (a.attention_output_bias) {
    CONCLAVE_RETURN_IF_ERROR(require(WeightNames::BiasOf(names.attention_output), {a.hidden}));
  }
  if (a.query_key_norm != QueryKeyNorm::kNone) {
    const bool all = a.query_key_norm == QueryKeyNorm::kAll;
    CONCLAVE_RETURN_IF_ERROR(require(names.query_norm, {all ? query_width : a.head_dim}));
    CONCLAVE_RETURN_IF_ERROR(require(names.key_norm, {all ? kv_width : a.head_dim}));
  }
  if (!a.attention_bias) return Status::Ok();
  CONCLAVE_RETURN_IF_ERROR(require(WeightNames::BiasOf(names.query), {query_width}));
  CONCLAVE_RETURN_IF_ERROR(require(WeightNames::BiasOf(names.key), {kv_width}));
  return require(WeightNames::BiasOf(names.value), {kv_width});
}

Status CheckGroups(const ExpertMixture& mixture) {
  CONCLAVE_RETURN_IF_ERROR(CheckInt("the number of groups of experts", mixture.groups, 1, mixture.experts));
  CONCLAVE_RETURN_IF_ERROR(
      CheckInt("the number of groups a token uses", mixture.groups_used, 1, mixture.groups));
  const int64_t size = mixture.experts / mixture.groups;
  const bool two = mixture.groups == 1 || mixture.group_rank == GroupRank::kBest || size >= 2;
  if (mixture.experts % mixture.groups == 0 && mixture.per_token <= mixture.groups_used * size && two) {
    return Status::Ok();
  }
  return InvalidArgument(std::to_string(mixture.groups) + " groups, of which a token uses " +
                         std::to_string(mixture.groups_used) + ", do not fit " +
                         std::to_string(mixture.experts) + " experts, of which it uses " +
                         std::to_string(mixture.per_token));
}

Status CheckMixture(const Architecture& a) {
  const ExpertMixture& mixture = a.mixture;
  CONCLAVE_RETURN_IF_ERROR(CheckInt("the number of experts", mixture.experts, 0, kMaxExperts));
  if (mixture.experts == 0) return Status::Ok();
  CONCLAVE_RETURN_IF_ERROR(
      CheckInt("the number of experts a token uses", mixture.per_token, 1, mixture.experts));
  CONCLAVE_RETURN_IF_ERROR(CheckInt("the width of an expert", mixture.inner, 1, kMaxInner));
  CONCLAVE_RETURN_IF_ERROR(CheckGroups(mixture));
  CONCLAVE_RETURN_IF_ERROR(CheckDouble("the scale of the experts' weights", mixture.weight_scale, 1e-6, 1e6));
  return CheckInt("the width of the shared expert", mixture.shared_inner, mixture.shared_gate ? 1 : 0,
                  kMaxInner);
}

}  // namespace

Status CheckArchitecture(const Architecture& a) {
  CONCLAVE_RETURN_IF_ERROR(CheckInt("the number of layers", a.layers, 1, kMaxLayers));
  CONCLAVE_RETURN_IF_ERROR(CheckInt("the hidden width", a.hidden, 1, kMaxHidden));
  CONCLAVE_RETURN_IF_ERROR(CheckInt("the feed-forward width", a.inner, 1, kMaxInner));
  CONCLAVE_RETURN_IF_ERROR(CheckInt("the number of query heads", a.query_heads, 1, kMaxHeads));
  CONCLAVE_RETURN_IF_ERROR(CheckInt("the number of key-value heads", a.kv_heads, 1, a.query_heads));
  if (a.query_heads % a.kv_heads != 0) {
    return InvalidArgument("the " + std::to_string(a.query_heads) + " query heads cannot be shared among " +
                           std::to_string(a.kv_heads) + " key-value heads");
  }
  CONCLAVE_RETURN_IF_ERROR(CheckInt("the width of a head", a.head_dim, 2, kMaxHeadDim));
  CONCLAVE_RETURN_IF_ERROR(CheckInt("the number of rotated dimensions", a.rope_dims, 2, a.head_dim));
  if (a.head_dim % 2 != 0) return InvalidArgument("the width of a head is odd");
  if (a.rope_dims % 2 != 0) return InvalidArgument("the number of rotated dimensions is odd");
  CONCLAVE_RETURN_IF_ERROR(CheckInt("the vocabulary", a.vocabulary, 1, kMaxVocabulary));
  CONCLAVE_RETURN_IF_ERROR(CheckInt("the context", a.context, 1, kMaxContext));
  CONCLAVE_RETURN_IF_ERROR(CheckInt("the sliding window", a.sliding_window, 0, kMaxContext));
  CONCLAVE_RETURN_IF_ERROR(CheckMixture(a));
  if (a.latent_attention()) {
    CONCLAVE_RETURN_IF_ERROR(CheckInt("the latent's width", a.latent.kv_rank, 1, kMaxHidden));
    CONCLAVE_RETURN_IF_ERROR(CheckInt("the queries' latent's width", a.latent.query_rank, 0, kMaxHidden));
    CONCLAVE_RETURN_IF_ERROR(CheckInt("the width of a head's values", a.latent.value_dim, 1, kMaxHeadDim));
    CONCLAVE_RETURN_IF_ERROR(CheckInt("the number of rotated dimensions", a.rope_dims, 2, a.head_dim - 1));
  }
  CONCLAVE_RETURN_IF_ERROR(CheckDouble("the alpha of SwiGLU", a.swiglu_alpha, 0.0, 1e3));
  CONCLAVE_RETURN_IF_ERROR(CheckDouble("the limit of SwiGLU", a.swiglu_limit, 1e-6, 1e9));
  CONCLAVE_RETURN_IF_ERROR(CheckDouble("the projections' clip", a.projection_clip, 0.0, 1e9));
  CONCLAVE_RETURN_IF_ERROR(CheckDouble("the norm's epsilon", a.norm_epsilon, 0.0, 1.0));
  CONCLAVE_RETURN_IF_ERROR(CheckDouble("rope theta", a.rope_theta, 1.001, kMaxRopeTheta));
  CONCLAVE_RETURN_IF_ERROR(CheckDouble("the attention scale", a.attention_scale, 0.0, 1e3));
  return CheckRopeScaling(a);
}

Status CheckTensors(const ModelFile& file, const ModelDescription& description) {
  const Architecture& a = description.architecture;
  const WeightNames& names = description.names;
  TensorChecker checker(file);
  CONCLAVE_RETURN_IF_ERROR(checker.Require(names.embedding, {a.vocabulary, a.hidden}));
  CONCLAVE_RETURN_IF_ERROR(checker.Require(names.output_norm, {a.hidden}));
  if (a.tied_embeddings) {
    checker.Allow(names.output);  // Some files repeat the tied table.
  } else {
    CONCLAVE_RETURN_IF_ERROR(checker.Require(names.output, {a.vocabulary, a.hidden}));
  }
  for (int64_t layer = 0; layer < a.layers; ++layer) {
    CONCLAVE_RETURN_IF_ERROR(CheckLayer(description, layer, checker));
  }
  for (const char* name : {"rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"}) {
    checker.Allow(name);
  }
  return checker.RefuseOthers(description.unused_prefixes);
}

}  // namespace conclave::engine
