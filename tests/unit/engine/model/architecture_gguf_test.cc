#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/model/architecture.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/small_llama.h"
#include "tests/support/temporary_folder.h"

namespace conclave::engine {
namespace {

using ::testing::AllOf;
using testing::GgufBuilder;
using ::testing::HasSubstr;
using testing::TinyLlama;

Result<ModelDescription> Describe(const GgufBuilder& builder) {
  const testing::TemporaryFolder folder;
  const auto file = OpenModelFile(folder.Write("m.gguf", builder.Bytes()));
  if (!file.ok()) return file.status();
  return DescribeModel(**file);
}

/// What describing the tiny model says after `change`.
std::string Error(const std::function<void(GgufBuilder&)>& change) {
  GgufBuilder builder = TinyLlama();
  change(builder);
  return Describe(builder).status().ToString();
}

GgufBuilder::Tensor& TensorNamed(GgufBuilder& builder, const std::string& name) {
  for (GgufBuilder::Tensor& tensor : builder.tensors) {
    if (tensor.name == name) return tensor;
  }
  throw std::runtime_error("no tensor " + name);
}

TEST(ArchitectureGgufTest, DescribesATinyLlama) {
  const Result<ModelDescription> description = Describe(TinyLlama());
  ASSERT_TRUE(description.ok()) << description.status().ToString();
  const Architecture& a = description->architecture;
  EXPECT_EQ(a.family, "llama");
  EXPECT_EQ(a.layers, 1);
  EXPECT_EQ(a.hidden, 32);
  EXPECT_EQ(a.inner, 64);
  EXPECT_EQ(a.query_heads, 2);
  EXPECT_EQ(a.kv_heads, 1);
  EXPECT_EQ(a.head_dim, 16);
  EXPECT_EQ(a.rope_dims, 16);
  EXPECT_EQ(a.vocabulary, 8);
  EXPECT_EQ(a.context, 128);
  EXPECT_EQ(a.rope_layout, RopeLayout::kInterleaved);
  EXPECT_EQ(a.rope_scaling.kind, RopeScaling::Kind::kNone);
  EXPECT_FLOAT_EQ(static_cast<float>(a.norm_epsilon), 1e-5f);
  EXPECT_TRUE(a.tied_embeddings);
  EXPECT_FALSE(a.attention_bias);
  EXPECT_EQ(WeightNames::ForLayer(description->names.query, 12), "blk.12.attn_q.weight");
}

TEST(ArchitectureGgufTest, OwnOutputHeadAndBiases) {
  GgufBuilder b = TinyLlama();
  b.AddFloats("output.weight", {32, 8}).AddFloats("blk.0.attn_q.bias", {32});
  b.AddFloats("blk.0.attn_k.bias", {16}).AddFloats("blk.0.attn_v.bias", {16});
  const Result<ModelDescription> description = Describe(b);
  ASSERT_TRUE(description.ok()) << description.status().ToString();
  EXPECT_FALSE(description->architecture.tied_embeddings);
  EXPECT_TRUE(description->architecture.attention_bias);
  EXPECT_THAT(Error([](GgufBuilder& x) { x.AddFloats("blk.0.attn_q.bias", {32}); }),
              HasSubstr("'blk.0.attn_k.bias' is missing"));
}

TEST(ArchitectureGgufTest, OtherFamiliesAndFeaturesAreRefusedByName) {
  EXPECT_THAT(Describe(GgufBuilder()).status().ToString(), HasSubstr("'general.architecture' is missing"));
  EXPECT_THAT(Describe(GgufBuilder().Text("general.architecture", "mamba")).status().ToString(),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("'mamba'")));
  EXPECT_THAT(Error([](GgufBuilder& b) { b.Float("llama.logit_scale", 2.0f); }),
              HasSubstr("llama.logit_scale"));
  EXPECT_THAT(Error([](GgufBuilder& b) { b.AddFloats("blk.0.attn_q_norm.weight", {16}); }),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("'blk.0.attn_q_norm.weight'")));
  EXPECT_THAT(Error([](GgufBuilder& b) { b.Uint32("llama.attention.value_length", 8); }),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("value_length")));
}

std::string MixtureError(const std::function<void(GgufBuilder&)>& change) {
  GgufBuilder builder = testing::SmallMixture(testing::MatrixType::kF32);
  change(builder);
  return Describe(builder).status().ToString();
}

TEST(ArchitectureGgufTest, DescribesAMixture) {
  const auto description = Describe(testing::SmallMixture(testing::MatrixType::kQ8_0));
  ASSERT_TRUE(description.ok()) << description.status().ToString();
  const Architecture& a = description->architecture;
  EXPECT_EQ(a.family, "qwen2moe");
  EXPECT_EQ(a.rope_layout, RopeLayout::kHalves);
  EXPECT_EQ(a.mixture.experts, 6);
  EXPECT_EQ(a.mixture.per_token, 2);
  EXPECT_EQ(a.mixture.inner, 96);
  EXPECT_EQ(a.mixture.shared_inner, 128);
  EXPECT_TRUE(a.mixture.shared_gate);
  EXPECT_FALSE(a.mixture.renormalise);
  EXPECT_TRUE(a.mixed(0) && a.mixed(1));
  EXPECT_EQ(description->names.expert_up, "blk.{}.ffn_up_exps.weight");
}

TEST(ArchitectureGgufTest, DescribesAGptOss) {
  const auto description = Describe(testing::SmallGptOss(testing::MatrixType::kMxFp4));
  ASSERT_TRUE(description.ok()) << description.status().ToString();
  const Architecture& a = description->architecture;
  EXPECT_EQ(a.family, "gpt-oss");
  EXPECT_EQ(a.rope_layout, RopeLayout::kHalves);
  EXPECT_EQ(a.feed_forward, FeedForwardKind::kClampedSwiGlu);
  EXPECT_EQ(a.window(0), 5);
  EXPECT_EQ(a.window(1), 0);
  EXPECT_TRUE(a.attention_bias && a.attention_output_bias && a.attention_sinks);
  EXPECT_TRUE(a.mixture.router_bias && a.mixture.expert_bias && a.mixture.renormalise);
  EXPECT_FALSE(a.rope_scaling.truncate_range);
  EXPECT_NEAR(a.rope_scaling.attention_factor, 0.1 * std::log(4.0) + 1.0, 1e-9);
  EXPECT_EQ(description->names.feed_forward_norm, "blk.{}.post_attention_norm.weight");
}

TEST(ArchitectureGgufTest, GptOssFilesThatAreNone) {
  const auto error = [](const std::function<void(GgufBuilder&)>& change) {
    GgufBuilder builder = testing::SmallGptOss(testing::MatrixType::kF32);
    change(builder);
    return Describe(builder).status().ToString();
  };
  for (const char* name :
       {"attn_sinks.weight", "ffn_gate_inp.bias", "ffn_up_exps.bias", "attn_output.weight"}) {
    const std::string full = std::string("blk.1.") + name;
    EXPECT_THAT(error([&](GgufBuilder& b) { TensorNamed(b, full).name = "x"; }),
                HasSubstr("tensor '" + full + "' is missing"));
  }
  EXPECT_THAT(error([](GgufBuilder& b) { TensorNamed(b, "blk.0.ffn_down_exps.bias").dims[1] = 6; }),
              HasSubstr("has the shape [6, 64], must be [7, 64]"));
  EXPECT_THAT(error([](GgufBuilder& b) { b.Uint32("gpt-oss.attention.sliding_window_pattern", 4); }),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("sliding_window_pattern")));
  EXPECT_THAT(error([](GgufBuilder& b) { b.Uint32("gpt-oss.expert_gating_func", 2); }),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("expert_gating_func")));
}

TEST(ArchitectureGgufTest, DescribesADeepseek) {
  const auto description = Describe(testing::SmallDeepseek(testing::MatrixType::kQ8_0));
  ASSERT_TRUE(description.ok()) << description.status().ToString();
  const Architecture& a = description->architecture;
  EXPECT_EQ(a.rope_layout, RopeLayout::kInterleaved);
  EXPECT_EQ(a.head_dim, 40);
  EXPECT_EQ(a.rope_dims, 8);
  EXPECT_EQ(a.kv_heads, 1);
  EXPECT_EQ(a.cached_key_dim(), 72);
  EXPECT_EQ(a.cached_value_dim(), 64);
  EXPECT_EQ(a.output_dim(), 32);
  EXPECT_EQ(a.latent.query_rank, 32);
  EXPECT_NEAR(a.attention_scale, 1.0 / std::sqrt(40.0), 1e-12);
  EXPECT_FALSE(a.mixed(0));
  EXPECT_TRUE(a.mixed(1));
  EXPECT_EQ(a.mixture.score, RouterScore::kSigmoid);
  EXPECT_EQ(a.mixture.group_rank, GroupRank::kBestTwo);
  EXPECT_EQ(a.mixture.groups, 3);
  EXPECT_EQ(a.mixture.groups_used, 2);
  EXPECT_EQ(a.mixture.shared_inner, 96);
  EXPECT_EQ(a.mixture.weight_scale, 1.5);
  EXPECT_TRUE(a.mixture.renormalise && a.mixture.choice_bias);
}

TEST(ArchitectureGgufTest, DeepseekFilesThatAreNone) {
  const auto error = [](const std::function<void(GgufBuilder&)>& change) {
    GgufBuilder builder = testing::SmallDeepseek(testing::MatrixType::kF32);
    change(builder);
    return Describe(builder).status().ToString();
  };
  for (const char* name :
       {"blk.0.attn_q_a_norm.weight", "blk.0.attn_kv_b.weight", "blk.1.attn_kv_a_mqa.weight",
        "blk.1.ffn_up_shexp.weight", "blk.0.ffn_gate.weight"}) {
    EXPECT_THAT(error([&](GgufBuilder& b) { TensorNamed(b, name).name = "x"; }),
                HasSubstr("tensor '" + std::string(name) + "' is missing"));
  }
  EXPECT_THAT(error([](GgufBuilder& b) { b.Uint32("deepseek2.nextn_predict_layers", 1); }),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("nextn_predict_layers")));
  EXPECT_THAT(error([](GgufBuilder& b) { TensorNamed(b, "blk.0.attn_q_b.weight").dims[1] = 80; }),
              HasSubstr("has the shape [80, 32], must be [160, 32]"));
  EXPECT_THAT(error([](GgufBuilder& b) { TensorNamed(b, "blk.1.exp_probs_b.bias").dims[0] = 3; }),
              HasSubstr("has the shape [3], must be [6]"));
  EXPECT_THAT(error([](GgufBuilder& b) { b.Float("deepseek2.logit_scale", 2.0f); }),
              HasSubstr("logit_scale"));
}

TEST(ArchitectureGgufTest, MixturesThatAreNone) {
  EXPECT_THAT(Error([](GgufBuilder& b) { b.Uint32("llama.expert_count", 8); }),
              HasSubstr("'llama.expert_used_count' is missing"));
  EXPECT_THAT(MixtureError([](GgufBuilder& b) { b.Uint32("qwen2moe.expert_gating_func", 2); }),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("expert_gating_func")));
  EXPECT_THAT(MixtureError([](GgufBuilder& b) { TensorNamed(b, "blk.1.ffn_gate_inp.weight").name = "x"; }),
              HasSubstr("tensor 'blk.1.ffn_gate_inp.weight' is missing"));
  EXPECT_THAT(MixtureError([](GgufBuilder& b) { TensorNamed(b, "blk.0.ffn_up_exps.weight").dims[2] = 5; }),
              HasSubstr("has the shape [5, 96, 64], must be [6, 96, 64]"));
  EXPECT_THAT(
      MixtureError([](GgufBuilder& b) { TensorNamed(b, "blk.0.ffn_gate_inp_shexp.weight").dims = {1, 64}; }),
      HasSubstr("must be [1, 64]"));
  GgufBuilder none;
  none.Text("general.architecture", "olmoe").Uint32("olmoe.block_count", 1);
  for (const char* key : {"context_length", "embedding_length", "feed_forward_length"}) {
    none.Uint32(std::string("olmoe.") + key, 32);
  }
  none.Uint32("olmoe.attention.head_count", 1).Float("olmoe.attention.layer_norm_rms_epsilon", 1e-5f);
  EXPECT_THAT(Describe(none).status().ToString(), HasSubstr("'olmoe.expert_count' is missing or below 1"));
}

/// SmallLlama's keys and tensors as `convert upcycle` writes them, one expert for all neurons but the shared.
GgufBuilder SmallUpcycled(const std::string& dense) {
  GgufBuilder b;
  b.Text("general.architecture", "conclave-moe").Uint32("conclave-moe.block_count", 1);
  b.Uint32("conclave-moe.context_length", 128).Uint32("conclave-moe.embedding_length", 32);
  b.Uint32("conclave-moe.feed_forward_length", 96).Uint32("conclave-moe.attention.head_count", 2);
  b.Float("conclave-moe.attention.layer_norm_rms_epsilon", 1e-5f);
  b.Uint32("conclave-moe.expert_count", 2).Uint32("conclave-moe.expert_used_count", 1);
  b.Uint32("conclave-moe.expert_feed_forward_length", 32);
  if (!dense.empty()) b.Text("conclave-moe.dense_architecture", dense);
  b.AddFloats("token_embd.weight", {32, 8}).AddFloats("output_norm.weight", {32});
  for (const char* name : {"attn_norm", "ffn_norm"})
    b.AddFloats("blk.0." + std::string(name) + ".weight", {32});
  for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
    b.AddFloats("blk.0." + std::string(name) + ".weight", {32, 32});
  }
  b.AddFloats("blk.0.ffn_gate_inp.weight", {32, 2});
  for (const char* name : {"gate", "up", "down"}) {
    b.AddFloats("blk.0.ffn_" + std::string(name) + "_exps.weight", {32, 32, 2});
  }
  return b;
}

TEST(ArchitectureGgufTest, DescribesAnUpcycledModel) {
  const auto description = Describe(SmallUpcycled("llama"));
  ASSERT_TRUE(description.ok()) << description.status().ToString();
  const Architecture& a = description->architecture;
  EXPECT_EQ(a.family, "conclave-moe");
  EXPECT_EQ(a.rope_layout, RopeLayout::kInterleaved);
  EXPECT_TRUE(a.mixture.unit_weights);
  EXPECT_FALSE(a.mixture.shared_gate);
  EXPECT_EQ(a.mixture.shared_inner, 0);
  EXPECT_FALSE(Describe(testing::SmallMixture(testing::MatrixType::kF32))->architecture.mixture.unit_weights);
}

TEST(ArchitectureGgufTest, UpcycledModelsNameADenseFamily) {
  EXPECT_THAT(Describe(SmallUpcycled("")).status().ToString(),
              HasSubstr("'conclave-moe.dense_architecture' is missing"));
  for (const char* family : {"mamba", "olmoe", "conclave-moe"}) {
    EXPECT_THAT(Describe(SmallUpcycled(family)).status().ToString(),
                AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("dense_architecture"), HasSubstr(family)));
  }
  GgufBuilder gated = SmallUpcycled("llama");
  gated.AddFloats("blk.0.ffn_gate_inp_shexp.weight", {32});
  EXPECT_THAT(Describe(gated).status().ToString(), HasSubstr("no part of the architecture"));
}

/// Files of before March 2024 have three tensors for each expert.
TEST(ArchitectureGgufTest, ExpertsInTensorsOfTheirOwn) {
  GgufBuilder b = TinyLlama();
  b.Uint32("llama.expert_count", 2).Uint32("llama.expert_used_count", 1);
  b.tensors.erase(std::remove_if(b.tensors.begin(), b.tensors.end(),
                                 [](const GgufBuilder::Tensor& tensor) {
                                   return tensor.name.find("ffn_") != std::string::npos &&
                                          tensor.name.find("norm") == std::string::npos;
                                 }),
                  b.tensors.end());
  b.AddFloats("blk.0.ffn_gate_inp.weight", {32, 2});
  for (const std::string expert : {"0", "1"}) {
    b.AddFloats("blk.0.ffn_gate." + expert + ".weight", {32, 64});
    b.AddFloats("blk.0.ffn_up." + expert + ".weight", {32, 64});
    b.AddFloats("blk.0.ffn_down." + expert + ".weight", {64, 32});
  }
  const auto description = Describe(b);
  ASSERT_TRUE(description.ok()) << description.status().ToString();
  EXPECT_EQ(description->architecture.mixture.inner, 64);
  EXPECT_TRUE(description->architecture.mixture.renormalise);
  EXPECT_EQ(description->names.expert_down, "blk.{}.ffn_down.{}.weight");
}

TEST(ArchitectureGgufTest, TensorsThatAreMissingOrMisshapen) {
  EXPECT_THAT(Error([](GgufBuilder& b) { TensorNamed(b, "blk.0.ffn_up.weight").name = "x"; }),
              HasSubstr("tensor 'blk.0.ffn_up.weight' is missing"));
  EXPECT_THAT(Error([](GgufBuilder& b) { TensorNamed(b, "blk.0.attn_k.weight").dims = {16, 32}; }),
              HasSubstr("tensor 'blk.0.attn_k.weight' has the shape [32, 16], must be [16, 32]"));
  EXPECT_THAT(Error([](GgufBuilder& b) { TensorNamed(b, "output_norm.weight").dims = {32, 1}; }),
              HasSubstr("has the shape [1, 32], must be [32]"));
  EXPECT_THAT(Error([](GgufBuilder& b) { TensorNamed(b, "token_embd.weight").dims = {32, 7}; }),
              HasSubstr("has 7 rows for a vocabulary of 8"));
}

TEST(ArchitectureGgufTest, AnUnknownFormatIsRefusedWhenItIsUsed) {
  const std::string error = Error([](GgufBuilder& b) {
    GgufBuilder::Tensor& tensor = TensorNamed(b, "blk.0.ffn_down.weight");
    tensor.type = 20;  // IQ4_NL takes fewer bytes than the F32 numbers that are there.
  });
  EXPECT_THAT(error,
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("'blk.0.ffn_down.weight' is stored as IQ4_NL")));
}

/// What describing a model of these numbers, one of them replaced, and no tensors says.
std::string WithNumber(const std::string& key, uint32_t value) {
  GgufBuilder b;
  b.Text("general.architecture", "llama");
  const std::pair<const char*, uint32_t> numbers[] = {
      {"llama.block_count", 1},           {"llama.context_length", 128},
      {"llama.embedding_length", 32},     {"llama.feed_forward_length", 64},
      {"llama.attention.head_count", 2},  {"llama.attention.head_count_kv", 1},
      {"llama.rope.dimension_count", 16}, {"llama.attention.key_length", 16},
  };
  for (const auto& [name, usual] : numbers) b.Uint32(name, name == key ? value : usual);
  b.Float("llama.attention.layer_norm_rms_epsilon", 1e-5f).Uint32("llama.vocab_size", 8);
  return Describe(b).status().ToString();
}

TEST(ArchitectureGgufTest, AbsurdNumbers) {
  EXPECT_THAT(WithNumber("llama.block_count", 0), HasSubstr("the number of layers is 0"));
  EXPECT_THAT(WithNumber("llama.block_count", 1025), HasSubstr("must be from 1 to 1024"));
  EXPECT_THAT(WithNumber("llama.context_length", 0), HasSubstr("the context is 0"));
  EXPECT_THAT(WithNumber("llama.embedding_length", 4'000'000'000u),
              HasSubstr("the hidden width is 4000000000"));
  EXPECT_THAT(WithNumber("llama.feed_forward_length", 0), HasSubstr("the feed-forward width is 0"));
  EXPECT_THAT(WithNumber("llama.attention.head_count", 0), HasSubstr("the number of query heads is 0"));
  EXPECT_THAT(WithNumber("llama.attention.head_count_kv", 0),
              HasSubstr("the number of key-value heads is 0"));
  EXPECT_THAT(WithNumber("llama.attention.head_count_kv", 3),
              HasSubstr("the number of key-value heads is 3"));
  EXPECT_THAT(WithNumber("llama.attention.head_count", 3), HasSubstr("'token_embd.weight' is missing"));
  EXPECT_THAT(WithNumber("llama.rope.dimension_count", 18), HasSubstr("rotated dimensions is 18"));
  EXPECT_THAT(WithNumber("llama.rope.dimension_count", 15), HasSubstr("rotated dimensions is odd"));
  EXPECT_THAT(Error([](GgufBuilder& b) { b.Text("llama.attention.key_length", "16"); }),
              HasSubstr("not a whole number"));
}

RopeScaling Scaling(const std::function<void(GgufBuilder&)>& change) {
  GgufBuilder builder = TinyLlama();
  change(builder);
  const Result<ModelDescription> description = Describe(builder);
  EXPECT_TRUE(description.ok()) << description.status().ToString();
  return description.ok() ? description->architecture.rope_scaling : RopeScaling();
}

TEST(ArchitectureGgufTest, RopeScaling) {
  using Kind = RopeScaling::Kind;
  RopeScaling s = Scaling([](GgufBuilder& b) { b.Float("llama.rope.scaling.factor", 4.0f); });
  EXPECT_EQ(s.kind, Kind::kLinear);
  EXPECT_EQ(s.factor, 4.0);
  s = Scaling([](GgufBuilder& b) {
    b.Text("llama.rope.scaling.type", "none").Float("llama.rope.scaling.factor", 4.0f);
  });
  EXPECT_EQ(s.kind, Kind::kNone);
  s = Scaling([](GgufBuilder& b) {
    b.Text("llama.rope.scaling.type", "yarn").Float("llama.rope.scaling.factor", 4.0f);
    b.Uint32("llama.rope.scaling.original_context_length", 32);
  });
  EXPECT_EQ(s.kind, Kind::kYarn);
  EXPECT_EQ(s.original_context, 32);
  EXPECT_NEAR(s.attention_factor, 1.1386294361, 1e-9);
}

TEST(ArchitectureGgufTest, FrequencyFactors) {
  std::string factors;
  for (int i = 0; i < 8; ++i) testing::AppendNumber(factors, 1.0f + static_cast<float>(i));
  const RopeScaling s = Scaling([&](GgufBuilder& b) {
    b.Add("rope_freqs.weight", {8}, GgufBuilder::kF32, factors).Float("llama.rope.scaling.factor", 2.0f);
  });
  EXPECT_EQ(s.kind, RopeScaling::Kind::kLongRope);
  ASSERT_EQ(s.short_factors.size(), 8u);
  EXPECT_EQ(s.short_factors[3], 8.0f);
  EXPECT_EQ(s.long_factors, s.short_factors);
  EXPECT_EQ(s.attention_factor, 1.0);
  EXPECT_THAT(Error([](GgufBuilder& b) { b.AddFloats("rope_freqs.weight", {4}); }),
              HasSubstr("must hold 8 F32"));
  // AddFloats begins at zero, which would divide by it.
  EXPECT_THAT(Error([](GgufBuilder& b) { b.AddFloats("rope_freqs.weight", {8}); }),
              HasSubstr("short factors is 0"));
}

TEST(ArchitectureGgufTest, RopeScalingsThatAreRefused) {
  EXPECT_THAT(Error([](GgufBuilder& b) { b.Text("llama.rope.scaling.type", "su"); }),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("'su'")));
  EXPECT_THAT(Error([](GgufBuilder& b) { b.Text("llama.rope.scaling.type", "longrope"); }),
              HasSubstr("short factors"));
  EXPECT_THAT(Error([](GgufBuilder& b) { b.Float("llama.rope.scaling.factor", -1.0f); }),
              HasSubstr("factor is -1"));
  EXPECT_THAT(Error([](GgufBuilder& b) { b.Float("llama.rope.scaling.factor", NAN); }),
              HasSubstr("factor is"));
}

}  // namespace
}  // namespace conclave::engine
