#include "engine/model/gguf_families.h"

#include <algorithm>

namespace conclave::engine {
namespace {

constexpr std::array kFamilies = {
    GgufFamily{.name = "llama",
               .model_types = {"llama", "mistral", "mixtral"},
               .rope_layout = RopeLayout::kInterleaved,
               .always_mixture = false,
               .renormalise = true},
    GgufFamily{.name = "qwen2moe", .model_types = {"qwen2_moe"}, .shared_expert = true},
    GgufFamily{.name = "qwen3moe",
               .model_types = {"qwen3_moe"},
               .query_key_norm = QueryKeyNorm::kHead,
               .renormalise = true},
    GgufFamily{.name = "deepseek2",
               .model_types = {"deepseek_v2", "deepseek_v3"},
               .rope_layout = RopeLayout::kInterleaved,
               .always_mixture = false,
               .deepseek = true},
    GgufFamily{.name = "gpt-oss",
               .model_types = {"gpt_oss"},
               .renormalise = true,
               .gpt_oss = true,
               .truncate_yarn = false},
    GgufFamily{.name = "olmoe", .model_types = {"olmoe"}, .query_key_norm = QueryKeyNorm::kAll},
    GgufFamily{.name = kUpcycledFamily, .model_types = {}, .shared_expert = true, .upcycled = true},
};

}  // namespace

const GgufFamily* FindGgufFamily(std::string_view name) {
  const auto* const found = std::ranges::find(kFamilies, name, &GgufFamily::name);
  return found == kFamilies.end() ? nullptr : found;
}

const GgufFamily* GgufFamilyOf(const Architecture& architecture) {
  const auto* const found = std::ranges::find_if(kFamilies, [&](const GgufFamily& family) {
    return family.name == architecture.family ||
           std::ranges::find(family.model_types, architecture.family) != family.model_types.end();
  });
  return found == kFamilies.end() ? nullptr : found;
}

WeightNames GgufWeightNames(const GgufFamily& family) {
  WeightNames names;
  names.embedding = "token_embd.weight";
  names.output_norm = "output_norm.weight";
  names.output = "output.weight";
  names.attention_norm = "blk.{}.attn_norm.weight";
  names.query = "blk.{}.attn_q.weight";
  names.key = "blk.{}.attn_k.weight";
  names.value = "blk.{}.attn_v.weight";
  names.attention_output = "blk.{}.attn_output.weight";
  names.query_norm = "blk.{}.attn_q_norm.weight";
  names.key_norm = "blk.{}.attn_k_norm.weight";
  names.sinks = "blk.{}.attn_sinks.weight";
  names.feed_forward_norm = family.gpt_oss ? "blk.{}.post_attention_norm.weight" : "blk.{}.ffn_norm.weight";
  names.gate = "blk.{}.ffn_gate.weight";
  names.up = "blk.{}.ffn_up.weight";
  names.down = "blk.{}.ffn_down.weight";
  if (family.deepseek) {
    names.key = "blk.{}.attn_kv_a_mqa.weight";
    names.value.clear();
    names.latent_query = "blk.{}.attn_q_a.weight";
    names.latent_query_norm = "blk.{}.attn_q_a_norm.weight";
    names.latent_query_up = "blk.{}.attn_q_b.weight";
    names.latent_norm = "blk.{}.attn_kv_a_norm.weight";
    names.latent_both = "blk.{}.attn_kv_b.weight";
    names.choice_bias = "blk.{}.exp_probs_b.bias";
  }
  names.router = "blk.{}.ffn_gate_inp.weight";
  names.expert_gate = "blk.{}.ffn_gate_exps.weight";
  names.expert_up = "blk.{}.ffn_up_exps.weight";
  names.expert_down = "blk.{}.ffn_down_exps.weight";
  names.shared_gate = "blk.{}.ffn_gate_shexp.weight";
  names.shared_up = "blk.{}.ffn_up_shexp.weight";
  names.shared_down = "blk.{}.ffn_down_shexp.weight";
  names.shared_scale = "blk.{}.ffn_gate_inp_shexp.weight";
  return names;
}

}  // namespace conclave::engine
