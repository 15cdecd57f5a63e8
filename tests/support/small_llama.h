#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/support/gguf_builder.h"
#include "tests/support/small_deepseek.h"
#include "tests/support/small_gpt_oss.h"
#include "tests/support/small_weights.h"

namespace conclave::testing {

/// What the layers of a small model have as their feed-forward parts; the last two are SmallGptOss
/// and SmallDeepseek.
enum class SmallFeedForward { kDense, kMixture, kGptOss, kDeepseek };

/// SmallLlama, SmallMixture, SmallGptOss or SmallDeepseek.
inline GgufBuilder SmallModel(SmallFeedForward feed_forward, MatrixType type, uint32_t context) {
  using S = SmallLlamaSizes;
  using M = SmallMixtureSizes;
  if (feed_forward == SmallFeedForward::kGptOss) return SmallGptOss(type, context);
  if (feed_forward == SmallFeedForward::kDeepseek) return SmallDeepseek(type, context);
  const bool mixture = feed_forward == SmallFeedForward::kMixture;
  const std::string family = mixture ? "qwen2moe" : "llama";
  std::mt19937 random(20240229);
  GgufBuilder b;
  b.Text("general.architecture", family).Uint32(family + ".block_count", S::kLayers);
  b.Uint32(family + ".context_length", context).Uint32(family + ".embedding_length", S::kHidden);
  b.Uint32(family + ".feed_forward_length", S::kInner);
  b.Uint32(family + ".attention.head_count", S::kQueryHeads);
  b.Uint32(family + ".attention.head_count_kv", S::kKvHeads).Float(family + ".rope.freq_base", 10000.0f);
  b.Float(family + ".attention.layer_norm_rms_epsilon", 1e-5f);
  if (mixture) {
    b.Uint32(family + ".expert_count", M::kExperts).Uint32(family + ".expert_used_count", M::kPerToken);
    b.Uint32(family + ".expert_feed_forward_length", M::kInner);
    b.Uint32(family + ".expert_shared_feed_forward_length", M::kSharedInner);
  }
  std::vector<std::string> tokens;
  for (uint64_t i = 0; i < S::kVocabulary; ++i) tokens.push_back("t" + std::to_string(i));
  b.Texts("tokenizer.ggml.tokens", tokens);
  auto matrix = [&](const std::string& name, uint64_t columns, uint64_t rows) {
    b.Add(name, {columns, rows}, static_cast<uint32_t>(type), RandomMatrix(random, columns * rows, type));
  };
  auto experts = [&](const std::string& name, uint64_t columns, uint64_t rows) {
    const uint64_t count = columns * rows * M::kExperts;
    b.Add(name, {columns, rows, M::kExperts}, static_cast<uint32_t>(type), RandomMatrix(random, count, type));
  };
  auto floats = [&](const std::string& name, std::vector<uint64_t> dims, uint64_t count) {
    b.Add(name, std::move(dims), GgufBuilder::kF32, RandomMatrix(random, count, MatrixType::kF32));
  };
  auto norm = [&](const std::string& name) {
    std::string data;
    for (uint64_t i = 0; i < S::kHidden; ++i) AppendNumber(data, 0.75f + static_cast<float>(i % 7) / 12.0f);
    b.Add(name, {S::kHidden}, GgufBuilder::kF32, data);
  };
  matrix("token_embd.weight", S::kHidden, S::kVocabulary);
  matrix("output.weight", S::kHidden, S::kVocabulary);
  norm("output_norm.weight");
  for (uint64_t layer = 0; layer < S::kLayers; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    norm(prefix + "attn_norm.weight");
    norm(prefix + "ffn_norm.weight");
    matrix(prefix + "attn_q.weight", S::kHidden, S::kQueryHeads * S::kHeadDim);
    matrix(prefix + "attn_k.weight", S::kHidden, S::kKvHeads * S::kHeadDim);
    matrix(prefix + "attn_v.weight", S::kHidden, S::kKvHeads * S::kHeadDim);
    matrix(prefix + "attn_output.weight", S::kQueryHeads * S::kHeadDim, S::kHidden);
    if (!mixture) {
      matrix(prefix + "ffn_gate.weight", S::kHidden, S::kInner);
      matrix(prefix + "ffn_up.weight", S::kHidden, S::kInner);
      matrix(prefix + "ffn_down.weight", S::kInner, S::kHidden);
      continue;
    }
    floats(prefix + "ffn_gate_inp.weight", {S::kHidden, M::kExperts}, S::kHidden * M::kExperts);
    floats(prefix + "ffn_gate_inp_shexp.weight", {S::kHidden}, S::kHidden);
    experts(prefix + "ffn_gate_exps.weight", S::kHidden, M::kInner);
    experts(prefix + "ffn_up_exps.weight", S::kHidden, M::kInner);
    experts(prefix + "ffn_down_exps.weight", M::kInner, S::kHidden);
    matrix(prefix + "ffn_gate_shexp.weight", S::kHidden, M::kSharedInner);
    matrix(prefix + "ffn_up_shexp.weight", S::kHidden, M::kSharedInner);
    matrix(prefix + "ffn_down_shexp.weight", M::kSharedInner, S::kHidden);
  }
  return b;
}

/// A llama of two layers with random weights from a fixed seed: small, but with grouped-query attention,
/// several slices and every kind of work that a large one has. A large `context` makes answers that do not
/// end while a test looks on.
inline GgufBuilder SmallLlama(MatrixType type, uint32_t context = SmallLlamaSizes::kContext) {
  return SmallModel(SmallFeedForward::kDense, type, context);
}

/// The same with mixtures of experts: six of which a token uses two, and a shared one behind a gate.
inline GgufBuilder SmallMixture(MatrixType type, uint32_t context = SmallLlamaSizes::kContext) {
  return SmallModel(SmallFeedForward::kMixture, type, context);
}

/// A small model's file with an embedding that is no number: whatever sequence holds `token` becomes NaN.
inline std::string SmallModelWithBrokenToken(SmallFeedForward feed_forward, MatrixType type, uint64_t token) {
  const GgufBuilder whole = SmallModel(feed_forward, type, SmallLlamaSizes::kContext);
  std::string bytes = whole.Bytes();
  const bool mx = type == MatrixType::kMxFp4;
  const uint64_t block_bytes = type == MatrixType::kF32    ? 32 * 4
                               : type == MatrixType::kQ8_0 ? 34
                               : mx                        ? 17
                                                           : 18;
  const uint64_t data = (whole.Header().size() + whole.alignment - 1) / whole.alignment * whole.alignment;
  const uint64_t row =
      data + whole.tensors.front().offset + token * SmallLlamaSizes::kHidden / 32 * block_bytes;
  // A block's scale comes first, in half precision; a float's highest bits come last.
  const uint64_t at = type == MatrixType::kF32 ? row + 2 : row;
  if (mx) return bytes.replace(row, 1, "\xff");
  const std::string nan =
      GgufBuilder::Encoded(static_cast<uint16_t>(type == MatrixType::kF32 ? 0x7fc0 : 0x7e00));
  return bytes.replace(at, nan.size(), nan);
}

inline std::string SmallLlamaWithBrokenToken(MatrixType type, uint64_t token) {
  return SmallModelWithBrokenToken(SmallFeedForward::kDense, type, token);
}

}  // namespace conclave::testing
