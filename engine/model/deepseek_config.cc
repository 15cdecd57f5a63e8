#include "engine/model/deepseek_config.h"

#include <algorithm>
#include <cmath>

#include "engine/files/quoted.h"
#include "engine/model/limits.h"
#include "engine/model/rope.h"

namespace conclave::engine {
namespace {

/// A field that must have one value, which is also what its absence means.
Status Expect(const Fields& config, const char* key, const std::string& value) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::string found, config.String(key, value));
  if (found == value) return Status::Ok();
  return Unimplemented("config.json: '" + std::string(key) + "': " + Quoted(found));
}

Status ReadLatent(const Fields& config, Architecture& a) {
  LatentAttention& latent = a.latent;
  CONCLAVE_ASSIGN_OR_RETURN(latent.kv_rank, config.Int("kv_lora_rank", 512));
  if (latent.kv_rank < 1) return InvalidArgument("config.json: 'kv_lora_rank' is below 1");
  // Absent means the family's default, null means none.
  CONCLAVE_ASSIGN_OR_RETURN(latent.query_rank,
                            config.Int("q_lora_rank", config.Has("q_lora_rank") ? 0 : 1536));
  CONCLAVE_ASSIGN_OR_RETURN(latent.value_dim, config.Int("v_head_dim", 128));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t plain, config.Int("qk_nope_head_dim", 128));
  CONCLAVE_ASSIGN_OR_RETURN(a.rope_dims, config.Int("qk_rope_head_dim", 64));
  if (plain < 1 || plain > kMaxHeadDim || a.rope_dims < 2 || a.rope_dims > kMaxHeadDim) {
    return InvalidArgument("config.json: 'qk_nope_head_dim' and 'qk_rope_head_dim' are " +
                           std::to_string(plain) + " and " + std::to_string(a.rope_dims));
  }
  a.head_dim = plain + a.rope_dims;
  if (a.kv_heads != a.query_heads) {
    return Unimplemented(
        "config.json: 'num_key_value_heads' other than 'num_attention_heads' beside 'kv_lora_rank'");
  }
  a.kv_heads = 1;
  a.attention_scale = LatentAttentionScale(a);
  return Status::Ok();
}

/// `default_dense`: how many layers are dense where the field is absent.
Status ReadExperts(const Fields& config, int64_t default_dense, Architecture& a) {
  ExpertMixture& mixture = a.mixture;
  CONCLAVE_ASSIGN_OR_RETURN(mixture.experts, config.Int("n_routed_experts"));
  if (mixture.experts < 1) return InvalidArgument("config.json: 'n_routed_experts' is below 1");
  CONCLAVE_ASSIGN_OR_RETURN(mixture.per_token, config.Int("num_experts_per_tok"));
  CONCLAVE_ASSIGN_OR_RETURN(mixture.inner, config.Int("moe_intermediate_size"));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t shared, config.Int("n_shared_experts"));
  if (shared < 0 || shared > kMaxExperts || mixture.inner > kMaxInner) {
    return InvalidArgument("config.json: 'n_shared_experts' is " + std::to_string(shared));
  }
  mixture.shared_inner = shared * mixture.inner;
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t frequency, config.Int("moe_layer_freq", 1));
  if (frequency != 1) return Unimplemented("config.json: 'moe_layer_freq' other than 1");
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t dense, config.Int("first_k_dense_replace", default_dense));
  if (dense < 0) return InvalidArgument("config.json: 'first_k_dense_replace' is below 0");
  SetDenseLayers(dense, a);
  return Status::Ok();
}

/// `groups`, `used`: what absent fields mean; null means that there are none.
Status ReadGroups(const Fields& config, int64_t groups, int64_t used, ExpertMixture& mixture) {
  CONCLAVE_ASSIGN_OR_RETURN(mixture.groups, config.Int("n_group", config.Has("n_group") ? 1 : groups));
  CONCLAVE_ASSIGN_OR_RETURN(mixture.groups_used,
                            config.Int("topk_group", config.Has("topk_group") ? mixture.groups : used));
  return Status::Ok();
}

}  // namespace

double LatentAttentionScale(const Architecture& a) {
  const double plain = 1.0 / std::sqrt(static_cast<double>(a.head_dim));
  const RopeScaling& s = a.rope_scaling;
  if (s.kind == RopeScaling::Kind::kNone || s.all_dims_weight == 0.0) return plain;
  const double factor = YarnAttentionFactor(s.factor, s.all_dims_weight);
  return plain * factor * factor;
}

void SetDenseLayers(int64_t first, Architecture& a) {
  if (a.layers < 1 || a.layers > kMaxLayers) return;  // CheckArchitecture says so.
  if (first >= a.layers) {
    a.mixture = {};
  } else if (first > 0) {
    a.mixture.dense_layers.assign(a.layers, false);
    std::fill_n(a.mixture.dense_layers.begin(), first, true);
  }
}

Status ReadDeepseek2(const Fields& config, Architecture& a) {
  CONCLAVE_RETURN_IF_ERROR(ReadLatent(config, a));
  a.rope_layout = RopeLayout::kInterleaved;
  CONCLAVE_RETURN_IF_ERROR(Expect(config, "scoring_func", "softmax"));
  CONCLAVE_ASSIGN_OR_RETURN(const bool renormalise, config.Bool("norm_topk_prob", false));
  // DeepSeek's own code leaves the scale out then, that of transformers the division.
  if (renormalise) return Unimplemented("config.json: 'norm_topk_prob' of 'deepseek_v2'");
  CONCLAVE_ASSIGN_OR_RETURN(a.mixture.weight_scale, config.Double("routed_scaling_factor", 1.0));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string method, config.String("topk_method", "greedy"));
  if (method == "group_limited_greedy") {
    CONCLAVE_RETURN_IF_ERROR(ReadGroups(config, 1, 1, a.mixture));
  } else if (method != "greedy") {
    return Unimplemented("config.json: 'topk_method': " + Quoted(method));
  }
  return ReadExperts(config, 0, a);
}

Status ReadDeepseek3(const Fields& config, Architecture& a) {
  CONCLAVE_RETURN_IF_ERROR(ReadLatent(config, a));
  CONCLAVE_ASSIGN_OR_RETURN(const bool interleaved, config.Bool("rope_interleave", true));
  a.rope_layout = interleaved ? RopeLayout::kInterleaved : RopeLayout::kHalves;
  CONCLAVE_RETURN_IF_ERROR(Expect(config, "scoring_func", "sigmoid"));
  CONCLAVE_RETURN_IF_ERROR(Expect(config, "topk_method", "noaux_tc"));
  a.mixture.score = RouterScore::kSigmoid;
  a.mixture.group_rank = GroupRank::kBestTwo;
  a.mixture.choice_bias = true;
  CONCLAVE_ASSIGN_OR_RETURN(a.mixture.renormalise, config.Bool("norm_topk_prob", true));
  CONCLAVE_ASSIGN_OR_RETURN(a.mixture.weight_scale, config.Double("routed_scaling_factor", 2.5));
  CONCLAVE_RETURN_IF_ERROR(ReadGroups(config, 8, 4, a.mixture));
  return ReadExperts(config, 3, a);
}

void NameDeepseek(const std::string& layer, WeightNames& names) {
  const std::string attention = layer + "self_attn.";
  names.key = attention + "kv_a_proj_with_mqa.weight";
  names.value.clear();
  names.latent_query = attention + "q_a_proj.weight";
  names.latent_query_norm = attention + "q_a_layernorm.weight";
  names.latent_query_up = attention + "q_b_proj.weight";
  names.latent_norm = attention + "kv_a_layernorm.weight";
  names.latent_both = attention + "kv_b_proj.weight";
  names.choice_bias = layer + "mlp.gate.e_score_correction_bias";
  const std::string shared = layer + "mlp.shared_experts.";
  names.shared_gate = shared + "gate_proj.weight";
  names.shared_up = shared + "up_proj.weight";
  names.shared_down = shared + "down_proj.weight";
}

Status DescribeLatent(const Fields& config, ModelDescription& description) {
  if (description.architecture.latent.query_rank > 0) description.names.query.clear();
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t guessing, config.Int("num_nextn_predict_layers", 0));
  if (guessing < 0 || guessing > kMaxLayers) {
    return InvalidArgument("config.json: 'num_nextn_predict_layers' is " + std::to_string(guessing));
  }
  const int64_t layers = description.architecture.layers;
  for (int64_t i = 0; i < guessing; ++i) {
    description.unused_prefixes.push_back("model.layers." + std::to_string(layers + i) + ".");
  }
  return Status::Ok();
}

}  // namespace conclave::engine
