#pragma once

#include <string>

#include "tests/support/small_weights.h"

namespace conclave::testing {

/// As many experts as the other small models have in all.
struct SmallGptOssSizes {
  static constexpr uint64_t kExperts = 7;
  static constexpr uint64_t kPerToken = 3;
  static constexpr uint64_t kInner = 96;
  static constexpr uint64_t kWindow = 5;
};

/// A gpt_oss of the sizes of SmallLlama: attention sinks, biases everywhere, a window in the first layer,
/// YaRN.
inline GgufBuilder SmallGptOss(MatrixType type, uint32_t context = SmallLlamaSizes::kContext) {
  using S = SmallLlamaSizes;
  using G = SmallGptOssSizes;
  const std::string family = "gpt-oss.";
  GgufBuilder b;
  AddSmallSizes(b, "gpt-oss", context);
  b.Uint32(family + "attention.head_count_kv", S::kKvHeads).Uint32(family + "expert_count", G::kExperts);
  b.Uint32(family + "expert_used_count", G::kPerToken)
      .Uint32(family + "expert_feed_forward_length", G::kInner);
  b.Uint32(family + "attention.sliding_window", G::kWindow).Text(family + "rope.scaling.type", "yarn");
  b.Float(family + "rope.scaling.factor", 4.0f).Uint32(family + "rope.scaling.original_context_length", 64);
  SmallWeights w(b, type);
  w.Matrix("token_embd.weight", {S::kHidden, S::kVocabulary});
  w.Matrix("output.weight", {S::kHidden, S::kVocabulary});
  w.Norm("output_norm.weight", S::kHidden);
  const uint64_t query = S::kQueryHeads * S::kHeadDim;
  const uint64_t key = S::kKvHeads * S::kHeadDim;
  for (uint64_t layer = 0; layer < S::kLayers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    const auto product = [&](const std::string& name, uint64_t columns, uint64_t rows) {
      w.Matrix(block + name + ".weight", {columns, rows});
      w.Floats(block + name + ".bias", {rows});
    };
    const auto experts = [&](const std::string& name, uint64_t columns, uint64_t rows) {
      w.Matrix(block + name + ".weight", {columns, rows, G::kExperts});
      w.Floats(block + name + ".bias", {rows, G::kExperts});
    };
    w.Norm(block + "attn_norm.weight", S::kHidden);
    w.Norm(block + "post_attention_norm.weight", S::kHidden);
    product("attn_q", S::kHidden, query);
    product("attn_k", S::kHidden, key);
    product("attn_v", S::kHidden, key);
    product("attn_output", query, S::kHidden);
    w.Floats(block + "attn_sinks.weight", {S::kQueryHeads});
    w.Floats(block + "ffn_gate_inp.weight", {S::kHidden, G::kExperts});
    w.Floats(block + "ffn_gate_inp.bias", {G::kExperts});
    experts("ffn_gate_exps", S::kHidden, G::kInner);
    experts("ffn_up_exps", S::kHidden, G::kInner);
    experts("ffn_down_exps", G::kInner, S::kHidden);
  }
  return b;
}

}  // namespace conclave::testing
