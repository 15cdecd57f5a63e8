#include "engine/files/json_text.h"
#include "engine/files/quoted.h"
#include "engine/model/architecture_sources.h"
#include "engine/model/config_families.h"
#include "engine/model/config_fields.h"
#include "engine/model/deepseek_config.h"
#include "engine/model/rope.h"

namespace conclave::engine {
namespace {

using nlohmann::json;

Status ReadSizes(const ConfigFamily& family, const Fields& config, Architecture& a) {
  CONCLAVE_ASSIGN_OR_RETURN(a.layers, config.Int("num_hidden_layers"));
  CONCLAVE_ASSIGN_OR_RETURN(a.hidden, config.Int("hidden_size"));
  CONCLAVE_ASSIGN_OR_RETURN(a.inner, config.Int("intermediate_size"));
  CONCLAVE_ASSIGN_OR_RETURN(a.vocabulary, config.Int("vocab_size"));
  CONCLAVE_ASSIGN_OR_RETURN(a.query_heads, config.Int("num_attention_heads"));
  const int64_t default_kv_heads = family.kv_heads > 0 ? family.kv_heads : a.query_heads;
  CONCLAVE_ASSIGN_OR_RETURN(a.kv_heads, config.Int("num_key_value_heads", default_kv_heads));
  const int64_t even_share = a.query_heads > 0 ? a.hidden / a.query_heads : 0;
  CONCLAVE_ASSIGN_OR_RETURN(a.head_dim,
                            config.Int("head_dim", family.head_dim > 0 ? family.head_dim : even_share));
  CONCLAVE_ASSIGN_OR_RETURN(a.context, config.Int("max_position_embeddings", family.context));
  CONCLAVE_ASSIGN_OR_RETURN(a.norm_epsilon, config.Double("rms_norm_eps", family.norm_epsilon));
  CONCLAVE_ASSIGN_OR_RETURN(a.tied_embeddings, config.Bool("tie_word_embeddings", false));
  return Status::Ok();
}

/// The context before stretching: beside the rope fields wins over inside them, as in transformers.
Result<int64_t> OriginalContext(const Fields& config, const Fields& rope, const Architecture& a) {
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t inside, rope.Int("original_max_position_embeddings", a.context));
  return config.Int("original_max_position_embeddings", inside);
}

/// The factor; when absent, how much longer the context is than the original one.
Result<double> FactorOrRatio(const Fields& rope, const Architecture& a) {
  const int64_t original = a.rope_scaling.original_context;
  if (original < 1) return InvalidArgument("config.json: 'original_max_position_embeddings' is below 1");
  return rope.Double("factor", static_cast<double>(a.context) / static_cast<double>(original));
}

Status ReadYarn(const Fields& config, const Fields& rope, Architecture& a) {
  RopeScaling& s = a.rope_scaling;
  CONCLAVE_ASSIGN_OR_RETURN(s.original_context, OriginalContext(config, rope, a));
  CONCLAVE_ASSIGN_OR_RETURN(s.factor, FactorOrRatio(rope, a));
  CONCLAVE_ASSIGN_OR_RETURN(s.beta_fast, rope.Double("beta_fast", 32.0));
  CONCLAVE_ASSIGN_OR_RETURN(s.beta_slow, rope.Double("beta_slow", 1.0));
  CONCLAVE_ASSIGN_OR_RETURN(s.truncate_range, rope.Bool("truncate", true));
  CONCLAVE_ASSIGN_OR_RETURN(s.attention_factor, rope.Double("attention_factor", 0.0));
  CONCLAVE_ASSIGN_OR_RETURN(const double mscale, rope.Double("mscale", 0.0));
  CONCLAVE_ASSIGN_OR_RETURN(const double mscale_all, rope.Double("mscale_all_dim", 0.0));
  if (s.attention_factor == 0.0 && mscale != 0.0 && mscale_all != 0.0) {
    s.attention_factor = YarnAttentionFactor(s.factor, mscale) / YarnAttentionFactor(s.factor, mscale_all);
  }
  return Status::Ok();
}

Status ReadLlama3(const Fields& config, const Fields& rope, Architecture& a) {
  RopeScaling& s = a.rope_scaling;
  CONCLAVE_ASSIGN_OR_RETURN(s.original_context, OriginalContext(config, rope, a));
  CONCLAVE_ASSIGN_OR_RETURN(s.factor, rope.Double("factor"));
  CONCLAVE_ASSIGN_OR_RETURN(s.low_frequency_factor, rope.Double("low_freq_factor"));
  CONCLAVE_ASSIGN_OR_RETURN(s.high_frequency_factor, rope.Double("high_freq_factor"));
  return Status::Ok();
}

Status ReadLongRope(const Fields& config, const Fields& rope, Architecture& a) {
  RopeScaling& s = a.rope_scaling;
  for (const char* key : {"short_mscale", "long_mscale"}) {
    if (rope.Find(key) != nullptr)
      return Unimplemented("config.json: '" + std::string(key) + "' of longrope");
  }
  CONCLAVE_ASSIGN_OR_RETURN(s.original_context, OriginalContext(config, rope, a));
  CONCLAVE_ASSIGN_OR_RETURN(s.factor, FactorOrRatio(rope, a));
  CONCLAVE_ASSIGN_OR_RETURN(s.attention_factor, rope.Double("attention_factor", 0.0));
  CONCLAVE_ASSIGN_OR_RETURN(s.short_factors, rope.Floats("short_factor"));
  CONCLAVE_ASSIGN_OR_RETURN(s.long_factors, rope.Floats("long_factor"));
  return Status::Ok();
}

Status ReadScaling(const Fields& config, const Fields& rope, Architecture& a) {
  using Kind = RopeScaling::Kind;
  CONCLAVE_ASSIGN_OR_RETURN(const std::string old_type, rope.String("type", "default"));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string type, rope.String("rope_type", old_type));
  RopeScaling& s = a.rope_scaling;
  if (type == "default") return Status::Ok();
  CONCLAVE_ASSIGN_OR_RETURN(s.all_dims_weight, rope.Double("mscale_all_dim", 0.0));
  if (type == "linear" || type == "dynamic") {
    s.kind = type == "linear" ? Kind::kLinear : Kind::kDynamicNtk;
    CONCLAVE_ASSIGN_OR_RETURN(s.factor, rope.Double("factor"));
    return Status::Ok();
  }
  if (type == "yarn") {
    s.kind = Kind::kYarn;
    return ReadYarn(config, rope, a);
  }
  if (type == "llama3") {
    s.kind = Kind::kLlama3;
    return ReadLlama3(config, rope, a);
  }
  if (type == "longrope") {
    s.kind = Kind::kLongRope;
    return ReadLongRope(config, rope, a);
  }
  return Unimplemented("config.json: the rope_type " + Quoted(type));
}

/// transformers 4 writes `rope_theta` and `rope_scaling`, transformers 5 both into `rope_parameters`.
Status ReadRope(const ConfigFamily& family, const Fields& config, Architecture& a) {
  static const json kNone = json::object();
  const json* older = config.Find("rope_scaling");
  const json* newer = config.Find("rope_parameters");
  const bool use_older = older != nullptr && !older->empty();
  const json& object = use_older ? *older : newer != nullptr ? *newer : kNone;
  if (!object.is_object()) {
    return config.Kind(use_older ? "rope_scaling" : "rope_parameters", "an object");
  }
  const Fields rope(object, use_older ? "config.json: 'rope_scaling'" : "config.json: 'rope_parameters'");
  CONCLAVE_ASSIGN_OR_RETURN(const double outer_theta, config.Double("rope_theta", family.rope_theta));
  CONCLAVE_ASSIGN_OR_RETURN(a.rope_theta, rope.Double("rope_theta", outer_theta));
  CONCLAVE_ASSIGN_OR_RETURN(const double outer_share, config.Double("partial_rotary_factor", 1.0));
  CONCLAVE_ASSIGN_OR_RETURN(const double share, rope.Double("partial_rotary_factor", outer_share));
  if (share != 1.0) return Unimplemented("config.json: 'partial_rotary_factor' other than 1");
  for (const char* key : {"full_attention", "sliding_attention"}) {
    if (rope.Find(key) != nullptr) return Unimplemented("config.json: rope parameters for each layer type");
  }
  a.rope_dims = a.head_dim;
  return ReadScaling(config, rope, a);
}

}  // namespace

Result<ModelDescription> DescribeConfig(const ModelFile& file) {
  Result<json> parsed = ParseJson(file.config_json());
  if (!parsed.ok()) return parsed.status().Annotate("config.json");
  if (!parsed->is_object()) return InvalidArgument("config.json: not a JSON object");
  const Fields config(*parsed, "config.json");
  CONCLAVE_ASSIGN_OR_RETURN(const ConfigFamily* family, FindConfigFamily(config));

  ModelDescription out{.architecture = {}, .names = ConfigWeightNames(*family)};
  Architecture& a = out.architecture;
  a.family = family->model_type;
  CONCLAVE_RETURN_IF_ERROR(ReadSizes(*family, config, a));
  CONCLAVE_RETURN_IF_ERROR(ReadRope(*family, config, a));
  a.rope_layout = RopeLayout::kHalves;
  CONCLAVE_RETURN_IF_ERROR(ReadFamilyFields(*family, config, a));
  if (a.latent_attention()) CONCLAVE_RETURN_IF_ERROR(DescribeLatent(config, out));
  return out;
}

}  // namespace conclave::engine
