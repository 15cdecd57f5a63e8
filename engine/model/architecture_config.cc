#include <limits>
#include <optional>

#include "engine/files/json_text.h"
#include "engine/files/quoted.h"
#include "engine/model/architecture_sources.h"
#include "engine/model/rope.h"

namespace conclave::engine {
namespace {

using nlohmann::json;

WeightNames LlamaNames() {
  const std::string layer = "model.layers.{}.";
  WeightNames names;
  names.embedding = "model.embed_tokens.weight";
  names.output_norm = "model.norm.weight";
  names.output = "lm_head.weight";
  names.attention_norm = layer + "input_layernorm.weight";
  names.query = layer + "self_attn.q_proj.weight";
  names.key = layer + "self_attn.k_proj.weight";
  names.value = layer + "self_attn.v_proj.weight";
  names.attention_output = layer + "self_attn.o_proj.weight";
  names.feed_forward_norm = layer + "post_attention_layernorm.weight";
  names.gate = layer + "mlp.gate_proj.weight";
  names.up = layer + "mlp.up_proj.weight";
  names.down = layer + "mlp.down_proj.weight";
  return names;
}

/// Reads the fields of one JSON object. A null counts as absent; a value of another kind is an error.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  const json* Find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  Result<int64_t> Int(const char* key, std::optional<int64_t> otherwise = std::nullopt) const {
    const json* value = Find(key);
    if (value == nullptr) return Default(key, otherwise);
    const bool fits = value->is_number_integer() &&
                      (!value->is_number_unsigned() ||
                       value->get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
    if (!fits) return Kind(key, "a whole number");
    return value->get<int64_t>();
  }

  Result<double> Double(const char* key, std::optional<double> otherwise = std::nullopt) const {
    const json* value = Find(key);
    if (value == nullptr) return Default(key, otherwise);
    if (!value->is_number()) return Kind(key, "a number");
    return value->get<double>();
  }

  Result<bool> Bool(const char* key, bool otherwise) const {
    const json* value = Find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) return Kind(key, "true or false");
    return value->get<bool>();
  }

  Result<std::string> String(const char* key, std::optional<std::string> otherwise = std::nullopt) const {
    const json* value = Find(key);
    if (value == nullptr) return Default(key, otherwise);
    if (!value->is_string()) return Kind(key, "a text");
    return value->get<std::string>();
  }

  Result<std::vector<float>> Floats(const char* key) const {
    const json* value = Find(key);
    if (value == nullptr || !value->is_array()) return Kind(key, "a list of numbers");
    std::vector<float> out;
    for (const json& item : *value) {
      if (!item.is_number()) return Kind(key, "a list of numbers");
      out.push_back(static_cast<float>(item.get<double>()));
    }
    return out;
  }

  Status Kind(const char* key, const char* kind) const {
    return InvalidArgument(where_ + ": '" + key + "' is not " + kind);
  }

 private:
  template <typename T>
  Result<T> Default(const char* key, const std::optional<T>& otherwise) const {
    if (otherwise) return *otherwise;
    return InvalidArgument(where_ + ": '" + key + "' is missing");
  }

  const json& object_;
  std::string where_;
};

Status CheckFamily(const Fields& config, const std::string& family) {
  if (family != "llama" && family != "mistral") {
    return Unimplemented("config.json: 'model_type': the family " + Quoted(family));
  }
  const json* classes = config.Find("architectures");
  if (classes != nullptr) {
    const char* expected = family == "llama" ? "LlamaForCausalLM" : "MistralForCausalLM";
    if (!classes->is_array() || classes->size() != 1 || (*classes)[0] != expected) {
      return Unimplemented("config.json: 'architectures' is not [\"" + std::string(expected) + "\"]");
    }
  }
  if (config.Find("quantization_config") != nullptr)
    return Unimplemented("config.json: 'quantization_config'");
  CONCLAVE_ASSIGN_OR_RETURN(const std::string activation, config.String("hidden_act", "silu"));
  if (activation != "silu" && activation != "swish") {
    return Unimplemented("config.json: 'hidden_act': " + Quoted(activation));
  }
  // With attention_bias the output projection has a bias too, which no known checkpoint of these families
  // uses.
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool biased, config.Bool(key, false));
    if (biased) return Unimplemented("config.json: '" + std::string(key) + "'");
  }
  return Status::Ok();
}

Status ReadSizes(const Fields& config, bool mistral, Architecture& a) {
  CONCLAVE_ASSIGN_OR_RETURN(a.layers, config.Int("num_hidden_layers"));
  CONCLAVE_ASSIGN_OR_RETURN(a.hidden, config.Int("hidden_size"));
  CONCLAVE_ASSIGN_OR_RETURN(a.inner, config.Int("intermediate_size"));
  CONCLAVE_ASSIGN_OR_RETURN(a.vocabulary, config.Int("vocab_size"));
  CONCLAVE_ASSIGN_OR_RETURN(a.query_heads, config.Int("num_attention_heads"));
  const int64_t default_kv_heads = mistral ? 8 : a.query_heads;
  CONCLAVE_ASSIGN_OR_RETURN(a.kv_heads, config.Int("num_key_value_heads", default_kv_heads));
  const int64_t even_share = a.query_heads > 0 ? a.hidden / a.query_heads : 0;
  CONCLAVE_ASSIGN_OR_RETURN(a.head_dim, config.Int("head_dim", even_share));
  CONCLAVE_ASSIGN_OR_RETURN(a.context, config.Int("max_position_embeddings", mistral ? 131072 : 2048));
  CONCLAVE_ASSIGN_OR_RETURN(a.norm_epsilon, config.Double("rms_norm_eps", 1e-6));
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
Status ReadRope(const Fields& config, Architecture& a) {
  static const json kNone = json::object();
  const json* older = config.Find("rope_scaling");
  const json* newer = config.Find("rope_parameters");
  const bool use_older = older != nullptr && !older->empty();
  const json& object = use_older ? *older : newer != nullptr ? *newer : kNone;
  if (!object.is_object()) {
    return config.Kind(use_older ? "rope_scaling" : "rope_parameters", "an object");
  }
  const Fields rope(object, use_older ? "config.json: 'rope_scaling'" : "config.json: 'rope_parameters'");
  CONCLAVE_ASSIGN_OR_RETURN(const double outer_theta, config.Double("rope_theta", 10000.0));
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
  CONCLAVE_ASSIGN_OR_RETURN(const std::string family, config.String("model_type"));
  CONCLAVE_RETURN_IF_ERROR(CheckFamily(config, family));
  const bool mistral = family == "mistral";

  ModelDescription out{.architecture = {}, .names = LlamaNames()};
  Architecture& a = out.architecture;
  a.family = family;
  CONCLAVE_RETURN_IF_ERROR(ReadSizes(config, mistral, a));
  CONCLAVE_RETURN_IF_ERROR(ReadRope(config, a));
  a.rope_layout = RopeLayout::kHalves;
  if (mistral) {
    // Absent means the family's default, null means none.
    const int64_t otherwise = parsed->contains("sliding_window") ? 0 : 4096;
    CONCLAVE_ASSIGN_OR_RETURN(a.sliding_window, config.Int("sliding_window", otherwise));
  }
  return out;
}

}  // namespace conclave::engine
