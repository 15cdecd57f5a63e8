#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace conclave::testing {

/// Appends a number's bytes, little-endian.
template <typename T>
void AppendNumber(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

/// Builds small GGUF files, well-formed unless a test sets a field to nonsense. Later values of the public
/// fields override what Bytes() would write.
class GgufBuilder {
 public:
  static constexpr uint32_t kF32 = 0;

  struct Tensor {
    std::string name;
    std::vector<uint64_t> dims;  ///< Innermost first, as in the file.
    uint32_t type = kF32;
    uint64_t offset = 0;
  };

  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t alignment = 32;
  int64_t extra_tensors = 0;  ///< Added to the tensor count that the header declares.
  int64_t extra_pairs = 0;    ///< Added to the metadata count that the header declares.
  std::vector<Tensor> tensors;

  /// A pair whose type and value the caller encoded.
  GgufBuilder& Raw(const std::string& key, uint32_t type, const std::string& value) {
    AppendText(pairs_, key);
    AppendNumber(pairs_, type);
    pairs_ += value;
    ++pair_count_;
    return *this;
  }
  GgufBuilder& Uint32(const std::string& key, uint32_t value) { return Raw(key, 4, Encoded(value)); }
  GgufBuilder& Float(const std::string& key, float value) { return Raw(key, 6, Encoded(value)); }
  GgufBuilder& Text(const std::string& key, const std::string& value) {
    return Raw(key, 8, EncodedText(value));
  }
  GgufBuilder& Texts(const std::string& key, const std::vector<std::string>& values) {
    std::string body = Encoded(uint32_t{8}) + Encoded(uint64_t{values.size()});
    for (const std::string& value : values) body += EncodedText(value);
    return Raw(key, 9, body);
  }

  /// A tensor with its data, which begin at the next aligned offset.
  GgufBuilder& Add(std::string name, std::vector<uint64_t> dims, uint32_t type, const std::string& data) {
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
    tensors.push_back({std::move(name), std::move(dims), type, data_.size()});
    data_ += data;
    return *this;
  }

  /// An F32 tensor whose numbers count up from 0 in steps of 1/64.
  GgufBuilder& AddFloats(std::string name, std::vector<uint64_t> dims) {
    uint64_t count = 1;
    for (const uint64_t size : dims) count *= size;
    std::string data;
    for (uint64_t i = 0; i < count; ++i) AppendNumber(data, static_cast<float>(i) / 64.0f);
    return Add(std::move(name), std::move(dims), kF32, data);
  }

  /// Everything before the padding and the data.
  std::string Header() const {
    std::string out = magic + Encoded(version);
    AppendNumber(out, static_cast<uint64_t>(tensors.size()) + static_cast<uint64_t>(extra_tensors));
    AppendNumber(out, pair_count_ + static_cast<uint64_t>(extra_pairs));
    out += pairs_;
    for (const Tensor& tensor : tensors) {
      AppendText(out, tensor.name);
      AppendNumber(out, static_cast<uint32_t>(tensor.dims.size()));
      for (const uint64_t size : tensor.dims) AppendNumber(out, size);
      AppendNumber(out, tensor.type);
      AppendNumber(out, tensor.offset);
    }
    return out;
  }

  std::string Bytes() const {
    std::string out = Header();
    if (!tensors.empty()) out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data_;
  }

  template <typename T>
  static std::string Encoded(T value) {
    std::string out;
    AppendNumber(out, value);
    return out;
  }
  static std::string EncodedText(const std::string& text) {
    std::string out;
    AppendText(out, text);
    return out;
  }

 private:
  static void AppendText(std::string& out, const std::string& text) {
    AppendNumber(out, uint64_t{text.size()});
    out += text;
  }

  std::string pairs_;
  uint64_t pair_count_ = 0;
  std::string data_;
};

/// The metadata and tensors of a one-layer llama: hidden 32, inner 64, two query heads of 16 that share one
/// key-value head, eight tokens, tied embeddings. Tests add to it, or change `tensors`.
inline GgufBuilder TinyLlama() {
  GgufBuilder b;
  b.Text("general.architecture", "llama").Uint32("llama.block_count", 1).Uint32("llama.context_length", 128);
  b.Uint32("llama.embedding_length", 32).Uint32("llama.feed_forward_length", 64);
  b.Uint32("llama.attention.head_count", 2).Uint32("llama.attention.head_count_kv", 1);
  b.Float("llama.attention.layer_norm_rms_epsilon", 1e-5f).Float("llama.rope.freq_base", 10000.0f);
  b.Texts("tokenizer.ggml.tokens", {"a", "b", "c", "d", "e", "f", "g", "h"});
  b.AddFloats("token_embd.weight", {32, 8}).AddFloats("output_norm.weight", {32});
  b.AddFloats("blk.0.attn_norm.weight", {32}).AddFloats("blk.0.attn_q.weight", {32, 32});
  b.AddFloats("blk.0.attn_k.weight", {32, 16}).AddFloats("blk.0.attn_v.weight", {32, 16});
  b.AddFloats("blk.0.attn_output.weight", {32, 32}).AddFloats("blk.0.ffn_norm.weight", {32});
  b.AddFloats("blk.0.ffn_gate.weight", {32, 64}).AddFloats("blk.0.ffn_up.weight", {32, 64});
  b.AddFloats("blk.0.ffn_down.weight", {64, 32});
  return b;
}

}  // namespace conclave::testing
