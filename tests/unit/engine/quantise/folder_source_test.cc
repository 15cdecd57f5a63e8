#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/files/gguf_file.h"
#include "engine/model/architecture.h"
#include "engine/model/gguf_description.h"
#include "engine/model/rope.h"
#include "engine/quantise/quantise_model.h"
#include "tests/support/safetensors_builder.h"
#include "tests/support/temporary_folder.h"

namespace conclave::engine {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kHidden = 32;
constexpr int64_t kHeadDim = 16;
constexpr int64_t kVocabulary = 8;

json TinyConfig() {
  return {{"model_type", "llama"},       {"hidden_size", kHidden},   {"intermediate_size", 64},
          {"num_hidden_layers", 1},      {"num_attention_heads", 2}, {"num_key_value_heads", 1},
          {"vocab_size", kVocabulary},   {"rms_norm_eps", 1e-5},     {"max_position_embeddings", 128},
          {"tie_word_embeddings", true}, {"rope_theta", 50000.0}};
}

/// The tensors of TinyConfig; number i of a matrix's row r is r + i / 100.
std::string TinyWeights() {
  const std::string layer = "model.layers.0.";
  const std::vector<std::pair<std::string, std::vector<int64_t>>> tensors = {
      {"model.embed_tokens.weight", {kVocabulary, kHidden}},
      {"model.norm.weight", {kHidden}},
      {layer + "input_layernorm.weight", {kHidden}},
      {layer + "self_attn.q_proj.weight", {32, kHidden}},
      {layer + "self_attn.k_proj.weight", {16, kHidden}},
      {layer + "self_attn.v_proj.weight", {16, kHidden}},
      {layer + "self_attn.o_proj.weight", {kHidden, 32}},
      {layer + "post_attention_layernorm.weight", {kHidden}},
      {layer + "mlp.gate_proj.weight", {64, kHidden}},
      {layer + "mlp.up_proj.weight", {64, kHidden}},
      {layer + "mlp.down_proj.weight", {kHidden, 64}}};
  std::string zeros = conclave::testing::SafetensorsOfZeros(tensors);
  std::string data;
  for (const auto& [name, shape] : tensors) {
    const int64_t rows = shape.size() == 2 ? shape[0] : 1;
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t i = 0; i < shape.back(); ++i) {
        conclave::testing::AppendNumber(data, static_cast<float>(row) + static_cast<float>(i) / 100.0f);
      }
    }
  }
  return zeros.replace(zeros.size() - data.size(), data.size(), data);
}

class FolderSourceTest : public ::testing::Test {
 protected:
  FolderSourceTest() { folder_.Write("model.safetensors", TinyWeights()); }

  Result<QuantiseSource> Open(const json& changes = json::object()) {
    json config = TinyConfig();
    config.update(changes);
    folder_.Write("config.json", config.dump());
    return OpenFolderSource(folder_.path());
  }

  /// Writes the source as F32 and opens the file. No tokenizer is needed to describe it.
  std::unique_ptr<ModelFile> Written(const json& changes = json::object()) {
    const auto source = Open(changes);
    EXPECT_TRUE(source.ok()) << source.status().ToString();
    const QuantiseOptions options{.types = {.matrices = DType::kF32, .head = DType::kF32}, .replace = true};
    const auto report = QuantiseModel(*source, out_, options, {}, pool_, [](int64_t, int64_t) {});
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return std::move(*OpenGgufFile(out_));
  }

  /// The first number of each row.
  static std::vector<float> FirstColumn(const TensorView& tensor) {
    std::vector<float> numbers(static_cast<size_t>(tensor.elements())), first;
    DequantiseRow(tensor.dtype, tensor.data, tensor.elements(), numbers.data());
    for (int64_t row = 0; row < tensor.rows(); ++row) first.push_back(numbers[row * tensor.columns()]);
    return first;
  }

  conclave::testing::TemporaryFolder folder_;
  std::string out_ = folder_.path() + "/out.gguf";
  ThreadPool pool_{1};
};

TEST_F(FolderSourceTest, HalvesOfQueryAndKeyHeadsBecomeNeighbours) {
  const auto file = Written();
  const std::vector<float> head = {0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15};
  EXPECT_EQ(FirstColumn(*file->Find("blk.0.attn_k.weight")), head);
  std::vector<float> two = head;
  for (const float row : head) two.push_back(row + static_cast<float>(kHeadDim));
  EXPECT_EQ(FirstColumn(*file->Find("blk.0.attn_q.weight")), two);
  const std::vector<float> values = FirstColumn(*file->Find("blk.0.attn_v.weight"));
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], static_cast<float>(i));
}

TEST_F(FolderSourceTest, TheFileDescribesTheSameArchitecture) {
  const auto file = Written();
  const auto found = DescribeModel(*file);
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  const Architecture& a = found->architecture;
  EXPECT_EQ(a.layers, 1);
  EXPECT_EQ(a.hidden, kHidden);
  EXPECT_EQ(a.inner, 64);
  EXPECT_EQ(a.query_heads, 2);
  EXPECT_EQ(a.kv_heads, 1);
  EXPECT_EQ(a.head_dim, kHeadDim);
  EXPECT_EQ(a.vocabulary, kVocabulary);
  EXPECT_EQ(a.context, 128);
  EXPECT_EQ(a.rope_dims, kHeadDim);
  EXPECT_EQ(a.rope_theta, 50000.0);
  EXPECT_FLOAT_EQ(static_cast<float>(a.norm_epsilon), 1e-5f);
  EXPECT_TRUE(a.tied_embeddings);
  EXPECT_EQ(*file->metadata().String("general.architecture"), "llama");
  EXPECT_EQ(file->metadata().Int("general.file_type"), 0);
}

TEST_F(FolderSourceTest, AnglesOfStretchedRopeStayTheSame) {
  const json original = {{"original_max_position_embeddings", 32}, {"factor", 4.0}};
  const auto with = [&](const json& more) {
    json rope = original;
    rope.update(more);
    return json{{"rope_scaling", rope}};
  };
  for (const json& changes :
       {json::object(), with({{"rope_type", "linear"}}), with({{"rope_type", "yarn"}}),
        with({{"rope_type", "yarn"}, {"beta_fast", 16.0}, {"attention_factor", 1.25}}),
        with({{"rope_type", "llama3"}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}}),
        with({{"rope_type", "dynamic"}})}) {
    const auto file = Written(changes);
    const auto before = DescribeModel(**OpenModelFile(folder_.path()));
    const auto after = DescribeModel(*file);
    ASSERT_TRUE(before.ok() && after.ok()) << changes.dump() << after.status().ToString();
    const RopeTable expected(before->architecture), found(after->architecture);
    EXPECT_NEAR(found.attention_factor(), expected.attention_factor(), 1e-6) << changes.dump();
    for (size_t i = 0; i < expected.inverse_frequencies().size(); ++i) {
      // Two roundings of a quotient more.
      EXPECT_NEAR(found.inverse_frequencies()[i] / expected.inverse_frequencies()[i], 1.0, 0x1p-22)
          << changes.dump() << " pair " << i;
    }
  }
}

TEST_F(FolderSourceTest, WhatAFileCannotSayIsRefused) {
  Status status = Open({{"rope_scaling",
                         {{"rope_type", "longrope"},
                          {"original_max_position_embeddings", 32},
                          {"short_factor", std::vector<float>(kHeadDim / 2, 1.0f)},
                          {"long_factor", std::vector<float>(kHeadDim / 2, 2.0f)}}}})
                      .status();
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("longrope"));
  status = Open({{"model_type", "gemma"}}).status();
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("'gemma'"));
}

TEST(GgufDescriptionTest, FamiliesThatAreNotConvertedAreRefusedByName) {
  for (const std::string family : {"gpt_oss", "deepseek_v2", "deepseek_v3"}) {
    Architecture architecture;
    architecture.family = family;
    const Status status = DescribeAsGguf(architecture, "x").status();
    EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
    EXPECT_THAT(status.message(), HasSubstr("folders of '" + family + "' are not written as GGUF files"));
  }
}

TEST_F(FolderSourceTest, TheFoldersOwnFilesAreNotReplaced) {
  const auto source = Open();
  ASSERT_TRUE(source.ok());
  const QuantiseOptions options{.types = {.matrices = DType::kF16, .head = DType::kF16}, .replace = true};
  const auto status =
      QuantiseModel(*source, folder_.path() + "/model.safetensors", options, {}, pool_, [](int64_t, int64_t) {
      }).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(OpenModelFile(folder_.path()).ok());
}

TEST_F(FolderSourceTest, BadRowsAreNamedAsTheSourceNumbersThem) {
  std::string weights = TinyWeights();
  // Row 8 of the key projection is written as row 1. Three vectors and two matrices stand before it.
  const size_t data = weights.size() - 4 * (8 * 32 + 3 * 32 + 32 * 32 + 2 * 16 * 32 + 32 * 32 + 3 * 64 * 32);
  const size_t key = data + 4 * (8 * 32 + 2 * 32 + 32 * 32);
  const std::string nan = conclave::testing::GgufBuilder::Encoded(uint32_t{0x7fc00000});
  weights.replace(key + 4 * 8 * 32, nan.size(), nan);
  folder_.Write("model.safetensors", weights);
  const auto source = Open();
  ASSERT_TRUE(source.ok());
  const QuantiseOptions options{.types = {.matrices = DType::kF16, .head = DType::kF16}};
  const auto status = QuantiseModel(*source, out_, options, {}, pool_, [](int64_t, int64_t) {}).status();
  EXPECT_THAT(status.message(), HasSubstr("'blk.0.attn_k.weight', row 8"));
}

}  // namespace
}  // namespace conclave::engine
