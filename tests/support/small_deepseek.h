#pragma once

#include <string>

#include "tests/support/small_weights.h"

namespace conclave::testing {

/// With the shared one as many experts as the other small models have in all.
struct SmallDeepseekSizes {
  static constexpr uint64_t kExperts = 6;
  static constexpr uint64_t kPerToken = 2;
  static constexpr uint64_t kGroups = 3;
  static constexpr uint64_t kGroupsUsed = 2;
  static constexpr uint64_t kInner = 96;
  static constexpr uint64_t kQueryRank = 32;
  static constexpr uint64_t kKvRank = 64;
  static constexpr uint64_t kRopeDims = 8;
  static constexpr uint64_t kPlainDims = 32;
  static constexpr uint64_t kValueDims = 32;
};

/// A DeepSeek-V3 of the sizes of SmallLlama: latent attention, a dense layer and one of a mixture whose
/// experts are chosen by groups, sigmoids and a bias, beside a shared one.
inline GgufBuilder SmallDeepseek(MatrixType type, uint32_t context = SmallLlamaSizes::kContext) {
  using S = SmallLlamaSizes;
  using D = SmallDeepseekSizes;
  const std::string family = "deepseek2.";
  GgufBuilder b;
  AddSmallSizes(b, "deepseek2", context);
  b.Uint32(family + "attention.head_count_kv", 1).Uint32(family + "rope.dimension_count", D::kRopeDims);
  b.Uint32(family + "attention.q_lora_rank", D::kQueryRank)
      .Uint32(family + "attention.kv_lora_rank", D::kKvRank);
  b.Uint32(family + "attention.key_length", D::kPlainDims + D::kRopeDims);
  b.Uint32(family + "attention.value_length", D::kValueDims).Uint32(family + "expert_count", D::kExperts);
  b.Uint32(family + "expert_used_count", D::kPerToken)
      .Uint32(family + "expert_feed_forward_length", D::kInner);
  b.Uint32(family + "expert_shared_count", 1).Uint32(family + "leading_dense_block_count", 1);
  b.Uint32(family + "expert_gating_func", 2).Float(family + "expert_weights_scale", 1.5f);
  b.Uint32(family + "expert_group_count", D::kGroups)
      .Uint32(family + "expert_group_used_count", D::kGroupsUsed);
  b.Raw(family + "expert_weights_norm", 7, std::string(1, '\x01'));
  SmallWeights w(b, type);
  w.Matrix("token_embd.weight", {S::kHidden, S::kVocabulary});
  w.Matrix("output.weight", {S::kHidden, S::kVocabulary});
  w.Norm("output_norm.weight", S::kHidden);
  for (uint64_t layer = 0; layer < S::kLayers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    const auto matrix = [&](const std::string& name, std::vector<uint64_t> dims) {
      w.Matrix(block + name + ".weight", std::move(dims));
    };
    w.Norm(block + "attn_norm.weight", S::kHidden);
    w.Norm(block + "ffn_norm.weight", S::kHidden);
    matrix("attn_q_a", {S::kHidden, D::kQueryRank});
    w.Norm(block + "attn_q_a_norm.weight", D::kQueryRank);
    matrix("attn_q_b", {D::kQueryRank, S::kQueryHeads * (D::kPlainDims + D::kRopeDims)});
    matrix("attn_kv_a_mqa", {S::kHidden, D::kKvRank + D::kRopeDims});
    w.Norm(block + "attn_kv_a_norm.weight", D::kKvRank);
    matrix("attn_kv_b", {D::kKvRank, S::kQueryHeads * (D::kPlainDims + D::kValueDims)});
    matrix("attn_output", {S::kQueryHeads * D::kValueDims, S::kHidden});
    if (layer == 0) {
      matrix("ffn_gate", {S::kHidden, S::kInner});
      matrix("ffn_up", {S::kHidden, S::kInner});
      matrix("ffn_down", {S::kInner, S::kHidden});
      continue;
    }
    w.Floats(block + "ffn_gate_inp.weight", {S::kHidden, D::kExperts});
    w.Floats(block + "exp_probs_b.bias", {D::kExperts});
    for (const std::string part : {"gate", "up"}) {
      matrix("ffn_" + part + "_exps", {S::kHidden, D::kInner, D::kExperts});
      matrix("ffn_" + part + "_shexp", {S::kHidden, D::kInner});
    }
    matrix("ffn_down_exps", {D::kInner, S::kHidden, D::kExperts});
    matrix("ffn_down_shexp", {D::kInner, S::kHidden});
  }
  return b;
}

}  // namespace conclave::testing
