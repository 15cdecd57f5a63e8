#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/gguf_builder.h"

// What the small models of tests are made of.
namespace conclave::testing {

/// How SmallLlama stores its matrices; the values are GGUF's tensor types.
enum class MatrixType : uint32_t { kF32 = 0, kQ4_0 = 2, kQ8_0 = 8, kMxFp4 = 39 };

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
  const bool nibbles = type != MatrixType::kQ8_0;
  for (uint64_t block = 0; block < count / 32; ++block) {
    if (type == MatrixType::kMxFp4) {
      AppendNumber(data, uint8_t{122});  // 2^-5
    } else {
      AppendNumber(data, static_cast<uint16_t>(nibbles ? 0x2800 : 0x1800));  // 2^-5 or 2^-9 in half precision
    }
    for (int i = 0; i < (nibbles ? 16 : 32); ++i) AppendNumber(data, static_cast<uint8_t>(random()));
  }
  return data;
}

/// The sizes of SmallMixture's experts.
struct SmallMixtureSizes {
  static constexpr uint64_t kExperts = 6;
  static constexpr uint64_t kPerToken = 2;
  static constexpr uint64_t kInner = 96;
  static constexpr uint64_t kSharedInner = 128;
};

/// Adds random tensors to a small model.
class SmallWeights {
 public:
  SmallWeights(GgufBuilder& builder, MatrixType type) : builder_(builder), type_(type) {}

  /// Sizes innermost first, as GGUF has them.
  void Matrix(const std::string& name, std::vector<uint64_t> dims) { Add(name, std::move(dims), type_); }
  void Floats(const std::string& name, std::vector<uint64_t> dims) {
    Add(name, std::move(dims), MatrixType::kF32);
  }
  void Norm(const std::string& name, uint64_t size) {
    std::string data;
    for (uint64_t i = 0; i < size; ++i) AppendNumber(data, 0.75f + static_cast<float>(i % 7) / 12.0f);
    builder_.Add(name, {size}, GgufBuilder::kF32, data);
  }

 private:
  void Add(const std::string& name, std::vector<uint64_t> dims, MatrixType type) {
    uint64_t count = 1;
    for (const uint64_t size : dims) count *= size;
    builder_.Add(name, std::move(dims), static_cast<uint32_t>(type), RandomMatrix(random_, count, type));
  }

  GgufBuilder& builder_;
  MatrixType type_;
  std::mt19937 random_{20240229};
};

/// The keys that every small model has.
inline void AddSmallSizes(GgufBuilder& b, const std::string& family, uint32_t context) {
  using S = SmallLlamaSizes;
  b.Text("general.architecture", family).Uint32(family + ".block_count", S::kLayers);
  b.Uint32(family + ".context_length", context).Uint32(family + ".embedding_length", S::kHidden);
  b.Uint32(family + ".feed_forward_length", S::kInner);
  b.Uint32(family + ".attention.head_count", S::kQueryHeads).Float(family + ".rope.freq_base", 10000.0f);
  b.Float(family + ".attention.layer_norm_rms_epsilon", 1e-5f);
  std::vector<std::string> tokens;
  for (uint64_t i = 0; i < S::kVocabulary; ++i) tokens.push_back("t" + std::to_string(i));
  b.Texts("tokenizer.ggml.tokens", tokens);
}

}  // namespace conclave::testing
