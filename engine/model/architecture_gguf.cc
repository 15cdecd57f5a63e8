#include <algorithm>
#include <optional>

#include "engine/files/quoted.h"
#include "engine/model/architecture_sources.h"
#include "engine/model/deepseek_config.h"
#include "engine/model/gguf_families.h"
#include "engine/model/limits.h"
#include "engine/model/rope.h"

namespace conclave::engine {
namespace {

/// Reads keys below the family's name. A key that exists with another kind of value is an error, never a
/// default.
class Keys {
 public:
  Keys(const GgufMetadata& metadata, const GgufFamily& family) : metadata_(metadata), family_(family) {}

  std::string Full(const std::string& key) const { return std::string(family_.name) + "." + key; }
  bool Has(const std::string& key) const { return metadata_.values().contains(Full(key)); }

  Result<int64_t> Int(const std::string& key, std::optional<int64_t> otherwise = std::nullopt) const {
    return Get(key, metadata_.Int(Full(key)), otherwise, "a whole number");
  }
  Result<double> Double(const std::string& key, std::optional<double> otherwise = std::nullopt) const {
    return Get(key, metadata_.Double(Full(key)), otherwise, "a number");
  }
  Result<bool> Bool(const std::string& key, bool otherwise) const {
    return Get(key, metadata_.Bool(Full(key)), std::optional<bool>(otherwise), "true or false");
  }
  Result<std::string> String(const std::string& key, const std::string& otherwise) const {
    const std::string* found = metadata_.String(Full(key));
    const auto value = found == nullptr ? std::nullopt : std::optional<std::string>(*found);
    return Get(key, value, std::optional<std::string>(otherwise), "a text");
  }

 private:
  template <typename T>
  Result<T> Get(const std::string& key, const std::optional<T>& value, const std::optional<T>& otherwise,
                const char* kind) const {
    if (value) return *value;
    if (Has(key)) return InvalidArgument("metadata key " + Quoted(Full(key)) + " is not " + kind);
    if (otherwise) return *otherwise;
    return InvalidArgument("metadata key " + Quoted(Full(key)) + " is missing");
  }

  const GgufMetadata& metadata_;
  const GgufFamily& family_;
};

Status RefuseUnknownFeatures(const GgufFamily& family, const Keys& keys) {
  for (const char* key : {"logit_scale", "residual_scale", "embedding_scale", "attention.clamp_kqv",
                          "attention.causal", "attn_logit_softcapping", "final_logit_softcapping",
                          "moe_every_n_layers", "interleave_moe_layer_step"}) {
    if (keys.Has(key)) return Unimplemented("metadata key '" + keys.Full(key) + "'");
  }
  if (family.deepseek) return Status::Ok();
  for (const char* key :
       {"expert_group_count", "expert_gating_func", "expert_shared_count", "leading_dense_block_count"}) {
    if (keys.Has(key)) return Unimplemented("metadata key '" + keys.Full(key) + "'");
  }
  CONCLAVE_ASSIGN_OR_RETURN(const double scale, keys.Double("expert_weights_scale", 1.0));
  if (scale != 1.0) return Unimplemented("metadata key '" + keys.Full("expert_weights_scale") + "'");
  return Status::Ok();
}

/// Files of before March 2024 have three tensors for each expert.
void NameExperts(const ModelFile& file, WeightNames& names) {
  if (file.Find("blk.0.ffn_gate.0.weight") == nullptr) return;
  names.expert_gate = "blk.{}.ffn_gate.{}.weight";
  names.expert_up = "blk.{}.ffn_up.{}.weight";
  names.expert_down = "blk.{}.ffn_down.{}.weight";
}

Status ReadMixture(const ModelFile& file, const GgufFamily& family, const Keys& keys,
                   ModelDescription& description) {
  Architecture& a = description.architecture;
  ExpertMixture& mixture = a.mixture;
  CONCLAVE_ASSIGN_OR_RETURN(mixture.experts, keys.Int("expert_count", 0));
  if (mixture.experts == 0 && !family.always_mixture) return Status::Ok();
  if (mixture.experts < 1) {
    return InvalidArgument("metadata key " + Quoted(keys.Full("expert_count")) + " is missing or below 1");
  }
  CONCLAVE_ASSIGN_OR_RETURN(mixture.per_token, keys.Int("expert_used_count"));
  CONCLAVE_ASSIGN_OR_RETURN(mixture.inner, keys.Int("expert_feed_forward_length", a.inner));
  mixture.renormalise = family.renormalise;
  if (family.shared_expert) {
    CONCLAVE_ASSIGN_OR_RETURN(mixture.shared_inner,
                              keys.Int("expert_shared_feed_forward_length", family.upcycled ? 0 : a.inner));
    mixture.shared_gate = !family.upcycled;
  }
  mixture.unit_weights = family.upcycled;
  NameExperts(file, description.names);
  return Status::Ok();
}

Status ReadHeads(const Keys& keys, Architecture& a) {
  CONCLAVE_ASSIGN_OR_RETURN(a.query_heads, keys.Int("attention.head_count"));
  CONCLAVE_ASSIGN_OR_RETURN(a.kv_heads, keys.Int("attention.head_count_kv", a.query_heads));
  const int64_t even_share = a.query_heads > 0 ? a.hidden / a.query_heads : 0;
  CONCLAVE_ASSIGN_OR_RETURN(a.head_dim, keys.Int("attention.key_length", even_share));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t value_dim, keys.Int("attention.value_length", a.head_dim));
  if (value_dim != a.head_dim) {
    return Unimplemented("metadata key '" + keys.Full("attention.value_length") + "': values of " +
                         std::to_string(value_dim) + " numbers beside keys of " + std::to_string(a.head_dim));
  }
  CONCLAVE_ASSIGN_OR_RETURN(a.rope_dims, keys.Int("rope.dimension_count", a.head_dim));
  return Status::Ok();
}

/// Files of before April 2025 give the widths of a head's keys and values as key_length and value_length, and
/// have both projections from the latent in one tensor; later ones give there those of the latent.
Status ReadLatent(const ModelFile& file, const Keys& keys, ModelDescription& description) {
  Architecture& a = description.architecture;
  const std::string suffix = keys.Has("attention.key_length_mla") ? "_mla" : "";
  CONCLAVE_ASSIGN_OR_RETURN(a.query_heads, keys.Int("attention.head_count"));
  a.kv_heads = 1;
  CONCLAVE_ASSIGN_OR_RETURN(a.latent.kv_rank, keys.Int("attention.kv_lora_rank"));
  if (a.latent.kv_rank < 1) {
    return InvalidArgument("metadata key " + Quoted(keys.Full("attention.kv_lora_rank")) + " is below 1");
  }
  CONCLAVE_ASSIGN_OR_RETURN(a.latent.query_rank, keys.Int("attention.q_lora_rank", 0));
  CONCLAVE_ASSIGN_OR_RETURN(a.head_dim, keys.Int("attention.key_length" + suffix));
  CONCLAVE_ASSIGN_OR_RETURN(a.latent.value_dim, keys.Int("attention.value_length" + suffix));
  CONCLAVE_ASSIGN_OR_RETURN(a.rope_dims, keys.Int("rope.dimension_count"));
  a.latent.norm_epsilon = a.norm_epsilon;
  WeightNames& names = description.names;
  if (a.latent.query_rank > 0) names.query.clear();
  if (file.Find("blk.0.attn_k_b.weight") == nullptr) return Status::Ok();
  names.latent_both.clear();
  names.latent_key = "blk.{}.attn_k_b.weight";
  names.latent_value = "blk.{}.attn_v_b.weight";
  return Status::Ok();
}

Status ReadVocabulary(const ModelFile& file, const Keys& keys, const WeightNames& names, Architecture& a) {
  const TensorView* embedding = file.Find(names.embedding);
  a.vocabulary = embedding == nullptr ? 0 : embedding->rows();
  const auto* tokens = file.metadata().Strings("tokenizer.ggml.tokens");
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t declared, keys.Int("vocab_size", a.vocabulary));
  const int64_t count = tokens != nullptr ? static_cast<int64_t>(tokens->size()) : declared;
  if (embedding == nullptr) {
    a.vocabulary = count;  // CheckTensors reports the missing table.
  } else if (count != a.vocabulary) {
    return InvalidArgument("tensor " + Quoted(names.embedding) + " has " + std::to_string(a.vocabulary) +
                           " rows for a vocabulary of " + std::to_string(count));
  }
  return Status::Ok();
}

Status ReadYarn(const Keys& keys, double attention_factor, RopeScaling& s) {
  for (const char* key : {"rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor"}) {
    CONCLAVE_ASSIGN_OR_RETURN(const double value, keys.Double(key, 1.0));
    if (value != 1.0) return Unimplemented("metadata key '" + keys.Full(key) + "' other than 1");
  }
  CONCLAVE_ASSIGN_OR_RETURN(s.beta_fast, keys.Double("rope.scaling.yarn_beta_fast", 32.0));
  CONCLAVE_ASSIGN_OR_RETURN(s.beta_slow, keys.Double("rope.scaling.yarn_beta_slow", 1.0));
  CONCLAVE_ASSIGN_OR_RETURN(const double all_dims, keys.Double("rope.scaling.yarn_log_multiplier", 0.0));
  const double divisor = all_dims == 0.0 ? 1.0 : YarnAttentionFactor(s.factor, all_dims);
  s.attention_factor = YarnAttentionFactor(s.factor, 1.0) / divisor * attention_factor;
  return Status::Ok();
}

/// One divisor for each rotated pair, from a small tensor; empty when the file has none.
Result<std::vector<float>> ReadFactors(const ModelFile& file, const std::string& name, int64_t rope_dims) {
  const TensorView* tensor = file.Find(name);
  if (tensor == nullptr) return std::vector<float>();
  if (tensor->rank != 1 || tensor->dtype != DType::kF32 || tensor->columns() != rope_dims / 2) {
    return InvalidArgument("tensor " + Quoted(name) + " must hold " + std::to_string(rope_dims / 2) +
                           " F32 numbers");
  }
  std::vector<float> factors(static_cast<size_t>(tensor->columns()));
  DequantiseRow(tensor->dtype, tensor->data, tensor->columns(), factors.data());
  return factors;
}

Status ReadLongRope(const ModelFile& file, const Keys& keys, double attention_factor, Architecture& a) {
  RopeScaling& s = a.rope_scaling;
  if (s.factor != 1.0)
    return Unimplemented("metadata key '" + keys.Full("rope.scaling.factor") + "' together with longrope");
  CONCLAVE_ASSIGN_OR_RETURN(s.short_factors, ReadFactors(file, "rope_factors_short.weight", a.rope_dims));
  CONCLAVE_ASSIGN_OR_RETURN(s.long_factors, ReadFactors(file, "rope_factors_long.weight", a.rope_dims));
  CONCLAVE_ASSIGN_OR_RETURN(s.original_context, keys.Int("rope.scaling.original_context_length", a.context));
  s.attention_factor = attention_factor;
  return Status::Ok();
}

/// `rope_freqs` divides each pair's frequency; that is LongRoPE with the same factors for every length. A
/// linear factor goes into the divisors.
Status ApplyFrequencyTensor(const ModelFile& file, Architecture& a) {
  CONCLAVE_ASSIGN_OR_RETURN(std::vector<float> factors, ReadFactors(file, "rope_freqs.weight", a.rope_dims));
  if (factors.empty()) return Status::Ok();
  RopeScaling& s = a.rope_scaling;
  if (s.kind != RopeScaling::Kind::kNone && s.kind != RopeScaling::Kind::kLinear) {
    return Unimplemented("tensor 'rope_freqs.weight' together with a rope.scaling.type other than linear");
  }
  for (float& factor : factors) factor *= static_cast<float>(s.factor);
  s = RopeScaling();
  s.kind = RopeScaling::Kind::kLongRope;
  s.original_context = a.context;
  s.attention_factor = 1.0;
  s.short_factors = factors;
  s.long_factors = std::move(factors);
  return Status::Ok();
}

Status ReadRopeScaling(const ModelFile& file, const Keys& keys, Architecture& a) {
  RopeScaling& s = a.rope_scaling;
  CONCLAVE_ASSIGN_OR_RETURN(const std::string type, keys.String("rope.scaling.type", "linear"));
  CONCLAVE_ASSIGN_OR_RETURN(const double old_factor, keys.Double("rope.scale_linear", 1.0));
  CONCLAVE_ASSIGN_OR_RETURN(s.factor, keys.Double("rope.scaling.factor", old_factor));
  if (s.factor == 0.0 || type == "none") s.factor = 1.0;
  CONCLAVE_ASSIGN_OR_RETURN(const double attention_factor, keys.Double("rope.scaling.attn_factor", 1.0));
  if (type == "yarn") {
    s.kind = RopeScaling::Kind::kYarn;
    CONCLAVE_ASSIGN_OR_RETURN(s.original_context,
                              keys.Int("rope.scaling.original_context_length", a.context));
    CONCLAVE_RETURN_IF_ERROR(ReadYarn(keys, attention_factor, s));
  } else if (type == "longrope") {
    s.kind = RopeScaling::Kind::kLongRope;
    return ReadLongRope(file, keys, attention_factor, a);
  } else if (type == "linear" || type == "none") {
    if (attention_factor != 1.0)
      return Unimplemented("metadata key '" + keys.Full("rope.scaling.attn_factor") + "' without yarn");
    s.kind = s.factor == 1.0 ? RopeScaling::Kind::kNone : RopeScaling::Kind::kLinear;
  } else {
    return Unimplemented("metadata key '" + keys.Full("rope.scaling.type") + "': " + Quoted(type));
  }
  return ApplyFrequencyTensor(file, a);
}

/// A file without a gating function is of the time when there was only the softmax.
Status ReadDeepseekRouting(const ModelFile& file, const Keys& keys, Architecture& a) {
  constexpr int64_t kSoftmax = 1, kSigmoid = 2;
  ExpertMixture& mixture = a.mixture;
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t gating, keys.Int("expert_gating_func", kSoftmax));
  if (gating != kSoftmax && gating != kSigmoid) {
    return Unimplemented("metadata key '" + keys.Full("expert_gating_func") + "': " + std::to_string(gating));
  }
  mixture.score = gating == kSigmoid ? RouterScore::kSigmoid : RouterScore::kSoftmax;
  mixture.group_rank = gating == kSigmoid ? GroupRank::kBestTwo : GroupRank::kBest;
  CONCLAVE_ASSIGN_OR_RETURN(mixture.weight_scale, keys.Double("expert_weights_scale", 1.0));
  if (mixture.weight_scale == 0.0) mixture.weight_scale = 1.0;  // So llama.cpp reads it.
  CONCLAVE_ASSIGN_OR_RETURN(mixture.renormalise, keys.Bool("expert_weights_norm", false));
  CONCLAVE_ASSIGN_OR_RETURN(mixture.groups, keys.Int("expert_group_count", 1));
  CONCLAVE_ASSIGN_OR_RETURN(mixture.groups_used, keys.Int("expert_group_used_count", mixture.groups));
  const int64_t mixed = mixture.dense_layers.empty()
                            ? 0
                            : std::ranges::find(mixture.dense_layers, false) - mixture.dense_layers.begin();
  mixture.choice_bias = file.Find("blk." + std::to_string(mixed) + ".exp_probs_b.bias") != nullptr;
  return Status::Ok();
}

Status ReadDeepseek(const ModelFile& file, const Keys& keys, Architecture& a) {
  RopeScaling& s = a.rope_scaling;
  if (s.kind == RopeScaling::Kind::kYarn) {
    // The file has a tenth of it. Both of YaRN's weights are the same in this family's models, so that where
    // one is given, cosines and sines are not scaled.
    CONCLAVE_ASSIGN_OR_RETURN(const double tenth, keys.Double("rope.scaling.yarn_log_multiplier", 0.0));
    CONCLAVE_ASSIGN_OR_RETURN(const double factor, keys.Double("rope.scaling.attn_factor", 1.0));
    if (factor != 1.0) return Unimplemented("metadata key '" + keys.Full("rope.scaling.attn_factor") + "'");
    s.all_dims_weight = tenth * 10.0;
    s.attention_factor = tenth == 0.0 ? YarnAttentionFactor(s.factor, 1.0) : 1.0;
  }
  if (a.attention_scale == 0.0 && a.head_dim > 0) a.attention_scale = LatentAttentionScale(a);
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t guessing, keys.Int("nextn_predict_layers", 0));
  if (guessing != 0) return Unimplemented("metadata key '" + keys.Full("nextn_predict_layers") + "'");
  if (a.mixture.experts == 0) return Status::Ok();
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t shared, keys.Int("expert_shared_count", 0));
  if (shared < 0 || shared > kMaxExperts || a.mixture.inner < 0 || a.mixture.inner > kMaxInner) {
    return InvalidArgument("metadata key " + Quoted(keys.Full("expert_shared_count")) + " is " +
                           std::to_string(shared));
  }
  a.mixture.shared_inner = shared * a.mixture.inner;
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t dense, keys.Int("leading_dense_block_count", 0));
  SetDenseLayers(dense, a);
  return a.mixture.experts == 0 ? Status::Ok() : ReadDeepseekRouting(file, keys, a);
}

Status ReadGptOss(const ModelFile& file, const Keys& keys, Architecture& a) {
  ApplyGptOss(a);
  if (a.sliding_window < 1) {
    return InvalidArgument("metadata key " + Quoted(keys.Full("attention.sliding_window")) +
                           " is missing or below 1");
  }
  for (const char* key : {"attention.sliding_window_pattern", "swiglu_clamp_exp"}) {
    if (keys.Has(key)) return Unimplemented("metadata key '" + keys.Full(key) + "'");
  }
  if (a.layers < 1 || a.layers > kMaxLayers) return Status::Ok();  // CheckArchitecture says so.
  a.full_layers.resize(a.layers);
  for (int64_t layer = 0; layer < a.layers; ++layer) a.full_layers[layer] = layer % 2 != 0;
  a.attention_output_bias = file.Find("blk.0.attn_output.bias") != nullptr;
  return Status::Ok();
}

/// The family that says what is not in the file's keys: its own, or that of the dense model it was made of.
Result<const GgufFamily*> DenseFamily(const GgufFamily& family, const Keys& keys) {
  if (!family.upcycled) return &family;
  const std::string key(kDenseFamilyKey);
  CONCLAVE_ASSIGN_OR_RETURN(const std::string name, keys.String(key, ""));
  if (name.empty()) return InvalidArgument("metadata key " + Quoted(keys.Full(key)) + " is missing or empty");
  const GgufFamily* dense = FindGgufFamily(name);
  if (dense == nullptr || dense->always_mixture || dense->deepseek) {
    return Unimplemented("metadata key " + Quoted(keys.Full(key)) + ": the family " + Quoted(name));
  }
  return dense;
}

}  // namespace

Result<ModelDescription> DescribeGguf(const ModelFile& file) {
  const std::string* name = file.metadata().String("general.architecture");
  if (name == nullptr) return InvalidArgument("metadata key 'general.architecture' is missing or not a text");
  const GgufFamily* family = FindGgufFamily(*name);
  if (family == nullptr) {
    return Unimplemented("metadata key 'general.architecture': the family " + Quoted(*name));
  }
  const Keys keys(file.metadata(), *family);
  CONCLAVE_RETURN_IF_ERROR(RefuseUnknownFeatures(*family, keys));
  CONCLAVE_ASSIGN_OR_RETURN(const GgufFamily* dense, DenseFamily(*family, keys));

  ModelDescription out{.architecture = {}, .names = GgufWeightNames(*family)};
  Architecture& a = out.architecture;
  a.family = family->name;
  CONCLAVE_ASSIGN_OR_RETURN(a.layers, keys.Int("block_count"));
  CONCLAVE_ASSIGN_OR_RETURN(a.hidden, keys.Int("embedding_length"));
  CONCLAVE_ASSIGN_OR_RETURN(a.inner, keys.Int("feed_forward_length"));
  CONCLAVE_ASSIGN_OR_RETURN(a.context, keys.Int("context_length"));
  CONCLAVE_ASSIGN_OR_RETURN(a.norm_epsilon, keys.Double("attention.layer_norm_rms_epsilon"));
  CONCLAVE_ASSIGN_OR_RETURN(a.rope_theta, keys.Double("rope.freq_base", 10000.0));
  CONCLAVE_ASSIGN_OR_RETURN(a.sliding_window, keys.Int("attention.sliding_window", 0));
  CONCLAVE_ASSIGN_OR_RETURN(a.attention_scale, keys.Double("attention.scale", 0.0));
  CONCLAVE_RETURN_IF_ERROR(family->deepseek ? ReadLatent(file, keys, out) : ReadHeads(keys, a));
  CONCLAVE_RETURN_IF_ERROR(ReadVocabulary(file, keys, out.names, a));
  CONCLAVE_RETURN_IF_ERROR(ReadRopeScaling(file, keys, a));
  CONCLAVE_RETURN_IF_ERROR(ReadMixture(file, *family, keys, out));
  a.rope_layout = dense->rope_layout;
  a.query_key_norm = dense->query_key_norm;
  a.rope_scaling.truncate_range = family->truncate_yarn;
  if (family->deepseek) CONCLAVE_RETURN_IF_ERROR(ReadDeepseek(file, keys, a));
  if (family->gpt_oss) CONCLAVE_RETURN_IF_ERROR(ReadGptOss(file, keys, a));
  a.tied_embeddings = file.Find(out.names.output) == nullptr && file.WhyUnusable(out.names.output) == nullptr;
  a.attention_bias = file.Find("blk.0.attn_q.bias") != nullptr;
  return out;
}

}  // namespace conclave::engine
