#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/model/language_model.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/temporary_folder.h"

namespace conclave::engine::testing {

/// A llama whose next token depends on the last one alone, so that its probabilities can be written down: the
/// attention and the feed-forward part add nothing, token t's embedding points along axis t, and the output
/// head gives t's successor (t + 1, or 0 after the last) one logit and all others another.
class BigramModel {
 public:
  static constexpr int64_t kVocabulary = 8;
  static constexpr int64_t kHidden = 32;
  static constexpr int64_t kContext = 300;
  static constexpr double kSuccessorLogit = 4.0;

  BigramModel() : model(*LanguageModel::Load(folder_.Write("bigram.gguf", File()), 0, pool_)) {}

  /// The cost in nats of `next` after `last`.
  static double Cost(int32_t last, int32_t next) {
    const double successor = kSuccessorLogit * Norm();
    const double sum = std::exp(successor) + static_cast<double>(kVocabulary - 1);
    return std::log(sum) - (next == (last + 1) % kVocabulary ? successor : 0.0);
  }

  /// 0, 1, 2, ...: every token is its predecessor's successor.
  static std::vector<int32_t> CountingUp(int64_t count) {
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(i % kVocabulary));
    return tokens;
  }

 private:
  static constexpr double kEpsilon = 1e-5;

  /// What the final norm leaves of an embedding of mean square one.
  static double Norm() { return 1.0 / std::sqrt(1.0 + kEpsilon); }

  static std::string File() {
    using conclave::testing::AppendNumber;
    using conclave::testing::GgufBuilder;
    GgufBuilder b;
    b.Text("general.architecture", "llama").Uint32("llama.block_count", 1);
    b.Uint32("llama.context_length", kContext).Uint32("llama.embedding_length", kHidden);
    b.Uint32("llama.feed_forward_length", 64).Uint32("llama.attention.head_count", 2);
    b.Uint32("llama.attention.head_count_kv", 1).Float("llama.rope.freq_base", 10000.0f);
    b.Float("llama.attention.layer_norm_rms_epsilon", static_cast<float>(kEpsilon));
    b.Texts("tokenizer.ggml.tokens", {"a", "b", "c", "d", "e", "f", "g", "h"});
    auto add = [&](const std::string& name, uint64_t columns, uint64_t rows, const auto& value) {
      std::string data;
      for (uint64_t row = 0; row < rows; ++row) {
        for (uint64_t column = 0; column < columns; ++column) {
          AppendNumber(data, static_cast<float>(value(row, column)));
        }
      }
      b.Add(name, rows == 1 ? std::vector<uint64_t>{columns} : std::vector<uint64_t>{columns, rows},
            GgufBuilder::kF32, data);
    };
    const auto zero = [](uint64_t, uint64_t) { return 0.0; };
    const auto one = [](uint64_t, uint64_t) { return 1.0; };
    const double length = std::sqrt(static_cast<double>(kHidden));
    add("token_embd.weight", kHidden, kVocabulary,
        [&](uint64_t token, uint64_t axis) { return token == axis ? length : 0.0; });
    add("output.weight", kHidden, kVocabulary, [&](uint64_t next, uint64_t axis) {
      const bool successor = axis < kVocabulary && next == (axis + 1) % kVocabulary;
      return successor ? kSuccessorLogit / length : 0.0;
    });
    for (const char* norm : {"output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"}) {
      add(norm, kHidden, 1, one);
    }
    add("blk.0.attn_q.weight", kHidden, kHidden, one);
    add("blk.0.attn_k.weight", kHidden, kHidden / 2, one);
    add("blk.0.attn_v.weight", kHidden, kHidden / 2, one);
    add("blk.0.attn_output.weight", kHidden, kHidden, zero);
    add("blk.0.ffn_gate.weight", kHidden, 64, one);
    add("blk.0.ffn_up.weight", kHidden, 64, one);
    add("blk.0.ffn_down.weight", 64, kHidden, zero);
    return b.Bytes();
  }

  conclave::testing::TemporaryFolder folder_;
  std::shared_ptr<ThreadPool> pool_ = std::make_shared<ThreadPool>(1);

 public:
  std::unique_ptr<LanguageModel> model;
};

}  // namespace conclave::engine::testing
