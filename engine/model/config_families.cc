#include "engine/model/config_families.h"

#include <algorithm>
#include <array>

#include "engine/files/quoted.h"
#include "engine/model/architecture_sources.h"
#include "engine/model/deepseek_config.h"
#include "engine/model/limits.h"

namespace conclave::engine {
namespace {

using Mixture = ConfigFamily::Mixture;

constexpr std::array kFamilies = {
    ConfigFamily{.model_type = "llama", .class_name = "LlamaForCausalLM"},
    ConfigFamily{.model_type = "mistral",
                 .class_name = "MistralForCausalLM",
                 .kv_heads = 8,
                 .context = 131072,
                 .sliding_window = 4096,
                 .has_window = true},
    ConfigFamily{.model_type = "mixtral",
                 .class_name = "MixtralForCausalLM",
                 .kv_heads = 8,
                 .context = 131072,
                 .norm_epsilon = 1e-5,
                 .rope_theta = 1e6,
                 .has_window = true,
                 .mixture = Mixture::kMixtral},
    ConfigFamily{.model_type = "qwen2_moe",
                 .class_name = "Qwen2MoeForCausalLM",
                 .kv_heads = 16,
                 .context = 32768,
                 .mixture = Mixture::kQwenShared},
    ConfigFamily{.model_type = "qwen3_moe",
                 .class_name = "Qwen3MoeForCausalLM",
                 .kv_heads = 4,
                 .context = 32768,
                 .query_key_norm = QueryKeyNorm::kHead,
                 .mixture = Mixture::kQwen},
    ConfigFamily{.model_type = "olmoe",
                 .class_name = "OlmoeForCausalLM",
                 .context = 4096,
                 .norm_epsilon = 1e-5,
                 .query_key_norm = QueryKeyNorm::kAll,
                 .mixture = Mixture::kOlmo},
    ConfigFamily{.model_type = "gpt_oss",
                 .class_name = "GptOssForCausalLM",
                 .kv_heads = 8,
                 .head_dim = 64,
                 .context = 131072,
                 .norm_epsilon = 1e-5,
                 .rope_theta = 150000.0,
                 .sliding_window = 128,
                 .has_window = true,
                 .mixture = Mixture::kGptOss,
                 .quantisation = "mxfp4"},
    ConfigFamily{
        .model_type = "deepseek_v2", .class_name = "DeepseekV2ForCausalLM", .mixture = Mixture::kDeepseek2},
    ConfigFamily{.model_type = "deepseek_v3",
                 .class_name = "DeepseekV3ForCausalLM",
                 .context = 4096,
                 .mixture = Mixture::kDeepseek3},
};

/// What tensors are quantised is said by their names; only the method matters here.
Status CheckQuantisation(const ConfigFamily& family, const Fields& config) {
  const nlohmann::json* found = config.Find("quantization_config");
  if (found == nullptr) return Status::Ok();
  if (!found->is_object()) return config.Kind("quantization_config", "an object");
  const Fields quantisation(*found, "config.json: 'quantization_config'");
  CONCLAVE_ASSIGN_OR_RETURN(const std::string method, quantisation.String("quant_method", ""));
  if (family.quantisation != nullptr && method == family.quantisation) return Status::Ok();
  return Unimplemented("config.json: 'quantization_config' with the 'quant_method' " + Quoted(method));
}

Status CheckFeatures(const ConfigFamily& family, const Fields& config) {
  const nlohmann::json* classes = config.Find("architectures");
  if (classes != nullptr) {
    if (!classes->is_array() || classes->size() != 1 || (*classes)[0] != family.class_name) {
      return Unimplemented("config.json: 'architectures' is not [\"" + std::string(family.class_name) +
                           "\"]");
    }
  }
  CONCLAVE_RETURN_IF_ERROR(CheckQuantisation(family, config));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string activation, config.String("hidden_act", "silu"));
  if (activation != "silu" && activation != "swish") {
    return Unimplemented("config.json: 'hidden_act': " + Quoted(activation));
  }
  // With attention_bias the output projection has a bias too, which no known checkpoint of these families
  // uses.
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    if (family.mixture == Mixture::kGptOss) break;  // It has both kinds.
    CONCLAVE_ASSIGN_OR_RETURN(const bool biased, config.Bool(key, false));
    if (biased) return Unimplemented("config.json: '" + std::string(key) + "'");
  }
  return Status::Ok();
}

/// Which layers of Qwen's mixtures are dense: those listed, and those between every `decoder_sparse_step`-th.
Status ReadDenseLayers(const Fields& config, Architecture& a) {
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t step, config.Int("decoder_sparse_step", 1));
  if (step < 1) return InvalidArgument("config.json: 'decoder_sparse_step' is below 1");
  if (a.layers < 1 || a.layers > kMaxLayers) return Status::Ok();  // CheckArchitecture says so.
  std::vector<bool> dense(a.layers);
  for (int64_t layer = 0; layer < a.layers; ++layer) dense[layer] = (layer + 1) % step != 0;
  const nlohmann::json* listed = config.Find("mlp_only_layers");
  if (listed != nullptr && !listed->is_array()) return config.Kind("mlp_only_layers", "a list of layers");
  for (const nlohmann::json& layer : listed == nullptr ? nlohmann::json::array() : *listed) {
    const bool known = layer.is_number_integer() && layer >= 0 && layer < a.layers;
    if (!known) return config.Kind("mlp_only_layers", "a list of layers");
    dense[layer.get<int64_t>()] = true;
  }
  const auto count = std::count(dense.begin(), dense.end(), true);
  if (count == a.layers) {
    return Unimplemented("config.json: 'mlp_only_layers' and 'decoder_sparse_step' leave no mixed layer");
  }
  if (count > 0) a.mixture.dense_layers = std::move(dense);
  return Status::Ok();
}

Status ReadMixture(const ConfigFamily& family, const Fields& config, Architecture& a) {
  ExpertMixture& mixture = a.mixture;
  // transformers 5 writes Qwen's number of experts under Mixtral's name.
  const char* key = config.Find("num_experts") != nullptr ? "num_experts" : "num_local_experts";
  CONCLAVE_ASSIGN_OR_RETURN(mixture.experts, config.Int(key));
  if (mixture.experts < 1) return InvalidArgument("config.json: '" + std::string(key) + "' is below 1");
  CONCLAVE_ASSIGN_OR_RETURN(mixture.per_token, config.Int("num_experts_per_tok"));
  const bool always = family.mixture == Mixture::kMixtral || family.mixture == Mixture::kGptOss;
  CONCLAVE_ASSIGN_OR_RETURN(mixture.renormalise, config.Bool("norm_topk_prob", always));
  if (always || family.mixture == Mixture::kOlmo) {
    mixture.inner = a.inner;
    return Status::Ok();
  }
  CONCLAVE_ASSIGN_OR_RETURN(mixture.inner, config.Int("moe_intermediate_size"));
  if (family.mixture == Mixture::kQwenShared) {
    CONCLAVE_ASSIGN_OR_RETURN(mixture.shared_inner, config.Int("shared_expert_intermediate_size"));
    mixture.shared_gate = true;
  }
  return ReadDenseLayers(config, a);
}

/// Which layers look back past the window: without a list every second one, from the second on.
Status ReadLayerTypes(const Fields& config, Architecture& a) {
  if (a.layers < 1 || a.layers > kMaxLayers) return Status::Ok();  // CheckArchitecture says so.
  a.full_layers.resize(a.layers);
  for (int64_t layer = 0; layer < a.layers; ++layer) a.full_layers[layer] = layer % 2 != 0;
  const nlohmann::json* listed = config.Find("layer_types");
  if (listed == nullptr) return Status::Ok();
  if (!listed->is_array() || static_cast<int64_t>(listed->size()) != a.layers) {
    return config.Kind("layer_types", "a list of one type for each layer");
  }
  for (int64_t layer = 0; layer < a.layers; ++layer) {
    const nlohmann::json& type = (*listed)[layer];
    if (type != "sliding_attention" && type != "full_attention") {
      return Unimplemented("config.json: 'layer_types': " + Quoted(type.dump()));
    }
    a.full_layers[layer] = type == "full_attention";
  }
  return Status::Ok();
}

Status ReadGptOss(const Fields& config, Architecture& a) {
  ApplyGptOss(a);
  CONCLAVE_ASSIGN_OR_RETURN(a.attention_bias, config.Bool("attention_bias", true));
  a.attention_output_bias = a.attention_bias;
  CONCLAVE_ASSIGN_OR_RETURN(a.swiglu_alpha, config.Double("swiglu_alpha", a.swiglu_alpha));
  CONCLAVE_ASSIGN_OR_RETURN(a.swiglu_limit, config.Double("swiglu_limit", a.swiglu_limit));
  if (config.Find("rope_scaling") == nullptr && config.Find("rope_parameters") == nullptr) {
    return InvalidArgument("config.json: 'rope_parameters' is missing");
  }
  CONCLAVE_RETURN_IF_ERROR(ReadLayerTypes(config, a));
  if (a.sliding_window == 0 && std::ranges::count(a.full_layers, false) > 0) {
    return InvalidArgument("config.json: 'sliding_window' is missing for layers of 'sliding_attention'");
  }
  return Status::Ok();
}

}  // namespace

Result<const ConfigFamily*> FindConfigFamily(const Fields& config) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::string name, config.String("model_type"));
  for (const ConfigFamily& family : kFamilies) {
    if (name != family.model_type) continue;
    CONCLAVE_RETURN_IF_ERROR(CheckFeatures(family, config));
    return &family;
  }
  return Unimplemented("config.json: 'model_type': the family " + Quoted(name));
}

WeightNames ConfigWeightNames(const ConfigFamily& family) {
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
  names.query_norm = layer + "self_attn.q_norm.weight";
  names.key_norm = layer + "self_attn.k_norm.weight";
  names.feed_forward_norm = layer + "post_attention_layernorm.weight";
  names.gate = layer + "mlp.gate_proj.weight";
  names.up = layer + "mlp.up_proj.weight";
  names.down = layer + "mlp.down_proj.weight";
  if (family.mixture == Mixture::kMixtral) {
    names.router = layer + "block_sparse_moe.gate.weight";
    names.expert_gate = layer + "block_sparse_moe.experts.{}.w1.weight";
    names.expert_up = layer + "block_sparse_moe.experts.{}.w3.weight";
    names.expert_down = layer + "block_sparse_moe.experts.{}.w2.weight";
    return names;
  }
  if (family.mixture == Mixture::kGptOss) {
    names.sinks = layer + "self_attn.sinks";
    names.router = layer + "mlp.router.weight";
    names.fused_gate_up = layer + "mlp.experts.gate_up_proj";
    names.fused_down = layer + "mlp.experts.down_proj";
    return names;
  }
  names.router = layer + "mlp.gate.weight";
  names.expert_gate = layer + "mlp.experts.{}.gate_proj.weight";
  names.expert_up = layer + "mlp.experts.{}.up_proj.weight";
  names.expert_down = layer + "mlp.experts.{}.down_proj.weight";
  names.shared_gate = layer + "mlp.shared_expert.gate_proj.weight";
  names.shared_up = layer + "mlp.shared_expert.up_proj.weight";
  names.shared_down = layer + "mlp.shared_expert.down_proj.weight";
  names.shared_scale = layer + "mlp.shared_expert_gate.weight";
  if (family.mixture == Mixture::kDeepseek2 || family.mixture == Mixture::kDeepseek3) {
    NameDeepseek(layer, names);
  }
  return names;
}

Status ReadFamilyFields(const ConfigFamily& family, const Fields& config, Architecture& a) {
  a.query_key_norm = family.query_key_norm;
  if (family.mixture == Mixture::kOlmo) {
    CONCLAVE_ASSIGN_OR_RETURN(a.projection_clip, config.Double("clip_qkv", 0.0));
  }
  if (family.mixture == Mixture::kQwenShared) {
    CONCLAVE_ASSIGN_OR_RETURN(a.attention_bias, config.Bool("qkv_bias", true));
  }
  if (family.mixture == Mixture::kQwen || family.mixture == Mixture::kQwenShared) {
    // A window in some of the layers, or in all: checkpoints come without.
    CONCLAVE_ASSIGN_OR_RETURN(const bool window, config.Bool("use_sliding_window", false));
    if (window) return Unimplemented("config.json: 'use_sliding_window'");
  } else if (family.has_window) {
    // Absent means the family's default, null means none.
    const int64_t otherwise = config.Has("sliding_window") ? 0 : family.sliding_window;
    CONCLAVE_ASSIGN_OR_RETURN(a.sliding_window, config.Int("sliding_window", otherwise));
  }
  if (family.mixture == Mixture::kGptOss) CONCLAVE_RETURN_IF_ERROR(ReadGptOss(config, a));
  if (family.mixture == Mixture::kDeepseek2) return ReadDeepseek2(config, a);
  if (family.mixture == Mixture::kDeepseek3) return ReadDeepseek3(config, a);
  return family.mixture == Mixture::kNone ? Status::Ok() : ReadMixture(family, config, a);
}

}  // namespace conclave::engine
