#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/support/gguf_builder.h"

namespace conclave::testing {

/// How SmallLlama stores its matrices; the values are GGUF's tensor types.
enum class MatrixType : uint32_t { kF32 = 0, kQ4_0 = 2, kQ8_0 = 8 };

/// The sizes of SmallLlama.
struct SmallLlamaSizes {
  static constexpr uint64_t kLayers = 2;
  static constexpr uint64_t kHidden = 64;
  static constexpr uint64_t kInner = 256;  ///< four slices of 64
  static constexpr uint64_t kQueryHeads = 4;
  static constexpr uint64_t kKvHeads = 2;
  static constexpr uint64_t kHeadDim = 16;
  static constexpr uint64_t kVocabulary = 48;
  static constexpr uint64_t kContext = 256;
};

/// A matrix of `count` random numbers of about 0.14, as the file stores it. `count` is a multiple of 32.
inline std::string RandomMatrix(std::mt19937& random, uint64_t count, MatrixType type) {
  std::string data;
  if (type == MatrixType::kF32) {
    std::normal_distribution<float> normal(0.0f, 0.14f);
    for (uint64_t i = 0; i < count; ++i) AppendNumber(data, normal(random));
    return data;
  }
  const bool nibbles = type == MatrixType::kQ4_0;
  for (uint64_t block = 0; block < count / 32; ++block) {
    AppendNumber(data, static_cast<uint16_t>(nibbles ? 0x2800 : 0x1800));  // 2^-5 or 2^-9 in half precision
    for (int i = 0; i < (nibbles ? 16 : 32); ++i) AppendNumber(data, static_cast<uint8_t>(random()));
  }
  return data;
}

/// A llama of two layers with random weights from a fixed seed: small, but with grouped-query attention,
/// several slices and every kind of work that a large one has. A large `context` makes answers that do not
/// end while a test looks on.
inline GgufBuilder SmallLlama(MatrixType type, uint32_t context = SmallLlamaSizes::kContext) {
  using S = SmallLlamaSizes;
  std::mt19937 random(20240229);
  GgufBuilder b;
  b.Text("general.architecture", "llama").Uint32("llama.block_count", S::kLayers);
  b.Uint32("llama.context_length", context).Uint32("llama.embedding_length", S::kHidden);
  b.Uint32("llama.feed_forward_length", S::kInner).Uint32("llama.attention.head_count", S::kQueryHeads);
  b.Uint32("llama.attention.head_count_kv", S::kKvHeads).Float("llama.rope.freq_base", 10000.0f);
  b.Float("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  std::vector<std::string> tokens;
  for (uint64_t i = 0; i < S::kVocabulary; ++i) tokens.push_back("t" + std::to_string(i));
  b.Texts("tokenizer.ggml.tokens", tokens);
  auto matrix = [&](const std::string& name, uint64_t columns, uint64_t rows) {
    b.Add(name, {columns, rows}, static_cast<uint32_t>(type), RandomMatrix(random, columns * rows, type));
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
    matrix(prefix + "ffn_gate.weight", S::kHidden, S::kInner);
    matrix(prefix + "ffn_up.weight", S::kHidden, S::kInner);
    matrix(prefix + "ffn_down.weight", S::kInner, S::kHidden);
  }
  return b;
}

/// SmallLlama's file with an embedding that is no number: whatever sequence holds `token` becomes NaN.
inline std::string SmallLlamaWithBrokenToken(MatrixType type, uint64_t token) {
  const GgufBuilder whole = SmallLlama(type);
  std::string bytes = whole.Bytes();
  const uint64_t block_bytes = type == MatrixType::kF32 ? 32 * 4 : type == MatrixType::kQ8_0 ? 34 : 18;
  const uint64_t data = (whole.Header().size() + whole.alignment - 1) / whole.alignment * whole.alignment;
  const uint64_t row =
      data + whole.tensors.front().offset + token * SmallLlamaSizes::kHidden / 32 * block_bytes;
  // A block's scale comes first, in half precision; a float's highest bits come last.
  const uint64_t at = type == MatrixType::kF32 ? row + 2 : row;
  const std::string nan =
      GgufBuilder::Encoded(static_cast<uint16_t>(type == MatrixType::kF32 ? 0x7fc0 : 0x7e00));
  return bytes.replace(at, nan.size(), nan);
}

}  // namespace conclave::testing
