#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/model/architecture.h"
#include "tests/support/safetensors_builder.h"
#include "tests/support/temporary_folder.h"

namespace conclave::engine {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Kind = RopeScaling::Kind;

json TinyConfig() {
  return {{"model_type", "llama"},
          {"architectures", {"LlamaForCausalLM"}},
          {"hidden_size", 32},
          {"intermediate_size", 64},
          {"num_hidden_layers", 1},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1},
          {"vocab_size", 8},
          {"max_position_embeddings", 128},
          {"tie_word_embeddings", true},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 50000.0}};
}

std::vector<std::pair<std::string, std::vector<int64_t>>> TinyTensors() {
  const std::string layer = "model.layers.0.";
  return {{"model.embed_tokens.weight", {8, 32}},        {"model.norm.weight", {32}},
          {layer + "input_layernorm.weight", {32}},      {layer + "self_attn.q_proj.weight", {32, 32}},
          {layer + "self_attn.k_proj.weight", {16, 32}}, {layer + "self_attn.v_proj.weight", {16, 32}},
          {layer + "self_attn.o_proj.weight", {32, 32}}, {layer + "post_attention_layernorm.weight", {32}},
          {layer + "mlp.gate_proj.weight", {64, 32}},    {layer + "mlp.up_proj.weight", {64, 32}},
          {layer + "mlp.down_proj.weight", {32, 64}}};
}

Result<ModelDescription> DescribeText(const std::string& config) {
  const testing::TemporaryFolder folder;
  folder.Write("config.json", config);
  folder.Write("model.safetensors", testing::SafetensorsOfZeros(TinyTensors()));
  const auto file = OpenModelFile(folder.path());
  if (!file.ok()) return file.status();
  return DescribeModel(**file);
}

/// The description, or the error, of the tiny model with some fields of its config replaced.
Result<ModelDescription> Describe(const json& changes) {
  json config = TinyConfig();
  config.update(changes);
  return DescribeText(config.dump());
}
std::string Error(const json& changes) { return Describe(changes).status().ToString(); }

RopeScaling Scaling(const json& changes) {
  const Result<ModelDescription> description = Describe(changes);
  EXPECT_TRUE(description.ok()) << description.status().ToString();
  return description.ok() ? description->architecture.rope_scaling : RopeScaling();
}

TEST(ArchitectureConfigTest, DescribesATinyLlama) {
  const Result<ModelDescription> description = Describe(json::object());
  ASSERT_TRUE(description.ok()) << description.status().ToString();
  const Architecture& a = description->architecture;
  EXPECT_EQ(a.head_dim, 16);
  EXPECT_EQ(a.rope_dims, 16);
  EXPECT_EQ(a.rope_theta, 50000.0);
  EXPECT_EQ(a.norm_epsilon, 1e-5);
  EXPECT_EQ(a.rope_layout, RopeLayout::kHalves);
  EXPECT_TRUE(a.tied_embeddings);
  EXPECT_EQ(a.sliding_window, 0);
  EXPECT_EQ(WeightNames::ForLayer(description->names.down, 3), "model.layers.3.mlp.down_proj.weight");
}

TEST(ArchitectureConfigTest, MistralsSlidingWindow) {
  const auto window = [](json changes) {
    changes["model_type"] = "mistral";
    changes["architectures"] = {"MistralForCausalLM"};
    const Result<ModelDescription> description = Describe(changes);
    return description.ok() ? description->architecture.sliding_window : -1;
  };
  EXPECT_EQ(window({{"sliding_window", 64}}), 64);
  EXPECT_EQ(window({{"sliding_window", nullptr}}), 0);
  EXPECT_EQ(window(json::object()), 4096);
}

TEST(ArchitectureConfigTest, FieldsThatAreMissingOrOfTheWrongKind) {
  for (const char* key :
       {"model_type", "hidden_size", "num_hidden_layers", "vocab_size", "num_attention_heads"}) {
    EXPECT_THAT(Error({{key, nullptr}}), HasSubstr("'" + std::string(key) + "' is missing"));
    EXPECT_THAT(Error({{key, json::array()}}), HasSubstr("'" + std::string(key) + "' is not"));
  }
  EXPECT_THAT(Error({{"hidden_size", 32.5}}), HasSubstr("'hidden_size' is not a whole number"));
  EXPECT_THAT(Error({{"hidden_size", 18446744073709551615u}}),
              HasSubstr("'hidden_size' is not a whole number"));
  EXPECT_THAT(Error({{"tie_word_embeddings", "yes"}}),
              HasSubstr("'tie_word_embeddings' is not true or false"));
  EXPECT_THAT(Error({{"rope_scaling", "linear"}}), HasSubstr("'rope_scaling' is not an object"));
  EXPECT_THAT(DescribeText("[1]").status().message(), HasSubstr("not a JSON object"));
  EXPECT_THAT(DescribeText("{\"a\":1,\"a\":2}").status().message(), HasSubstr("'a' appears twice"));
  EXPECT_THAT(DescribeText("{\"a\"").status().message(), HasSubstr("config.json: not valid JSON at byte"));
}

TEST(ArchitectureConfigTest, WhatTheEngineDoesNotKnowIsRefusedByName) {
  const auto refused = [](const json& changes, const char* name) {
    EXPECT_THAT(Error(changes), AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr(name)));
  };
  refused({{"model_type", "gpt2"}}, "'gpt2'");
  refused({{"architectures", {"LlamaForSequenceClassification"}}}, "'architectures'");
  refused({{"quantization_config", {{"bits", 4}}}}, "'quantization_config'");
  refused({{"hidden_act", "gelu"}}, "'gelu'");
  refused({{"attention_bias", true}}, "'attention_bias'");
  refused({{"mlp_bias", true}}, "'mlp_bias'");
  refused({{"partial_rotary_factor", 0.5}}, "'partial_rotary_factor'");
  refused({{"rope_scaling", {{"type", "su"}}}}, "'su'");
  refused({{"rope_parameters", {{"full_attention", json::object()}}}}, "each layer type");
}

TEST(ArchitectureConfigTest, NumbersThatDoNotFitTheTensors) {
  EXPECT_THAT(Error({{"num_hidden_layers", 2}}),
              HasSubstr("'model.layers.1.input_layernorm.weight' is missing"));
  EXPECT_THAT(Error({{"vocab_size", 9}}), HasSubstr("has the shape [8, 32], must be [9, 32]"));
  EXPECT_THAT(Error({{"head_dim", 8}}), HasSubstr("q_proj.weight' has the shape [32, 32], must be [16, 32]"));
  EXPECT_THAT(Error({{"tie_word_embeddings", false}}), HasSubstr("'lm_head.weight' is missing"));
  EXPECT_THAT(Error({{"num_hidden_layers", -1}}), HasSubstr("the number of layers is -1"));
  EXPECT_THAT(Error({{"head_dim", 15}}), HasSubstr("the width of a head is odd"));
  EXPECT_THAT(Error({{"num_attention_heads", 0}}), HasSubstr("the number of query heads is 0"));
  EXPECT_THAT(Error({{"rope_theta", 0.0}}), HasSubstr("rope theta is 0"));
}

TEST(ArchitectureConfigTest, BothSpellingsOfRope) {
  const json rope = {{"rope_type", "linear"}, {"factor", 4.0}};
  EXPECT_EQ(Scaling({{"rope_scaling", rope}}).kind, Kind::kLinear);
  EXPECT_EQ(Scaling({{"rope_parameters", rope}}).factor, 4.0);
  EXPECT_EQ(Scaling({{"rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}}}).kind, Kind::kDynamicNtk);
  EXPECT_EQ(Scaling({{"rope_scaling", nullptr}, {"rope_parameters", rope}}).kind, Kind::kLinear);
  const auto newer = Describe({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 7000.0}}}});
  ASSERT_TRUE(newer.ok());
  EXPECT_EQ(newer->architecture.rope_theta, 7000.0);
}

TEST(ArchitectureConfigTest, YarnAndLlama3) {
  RopeScaling s = Scaling({{"rope_scaling", {{"type", "yarn"}, {"original_max_position_embeddings", 32}}}});
  EXPECT_EQ(s.kind, Kind::kYarn);
  EXPECT_EQ(s.factor, 4.0);  // From 32 to 128.
  EXPECT_EQ(s.attention_factor, 0.0);
  s = Scaling({{"rope_scaling",
                {{"type", "yarn"},
                 {"factor", 40.0},
                 {"mscale", 1.0},
                 {"mscale_all_dim", 1.0},
                 {"truncate", false}}}});
  EXPECT_EQ(s.attention_factor, 1.0);
  EXPECT_EQ(s.original_context, 128);
  EXPECT_FALSE(s.truncate_range);
  const json llama3 = {
      {"rope_type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}};
  EXPECT_EQ(Scaling({{"rope_scaling", llama3}}).high_frequency_factor, 4.0);
  json equal = llama3;
  equal["high_freq_factor"] = 1.0;
  EXPECT_THAT(Error({{"rope_scaling", equal}}), HasSubstr("high_freq_factor is 1"));
}

TEST(ArchitectureConfigTest, LongRope) {
  const json factors = std::vector<double>(8, 1.5);
  const json rope = {{"type", "longrope"},
                     {"short_factor", factors},
                     {"long_factor", factors},
                     {"original_max_position_embeddings", 64}};
  const RopeScaling s = Scaling({{"rope_scaling", rope}});
  EXPECT_EQ(s.kind, Kind::kLongRope);
  EXPECT_EQ(s.factor, 2.0);
  EXPECT_EQ(s.long_factors, std::vector<float>(8, 1.5f));
  json changed = rope;
  changed["short_factor"] = {1.0, 2.0};
  EXPECT_THAT(Error({{"rope_scaling", changed}}), HasSubstr("must be one for each of the 8 rotated pairs"));
  changed["short_factor"] = {1.0, "2"};
  EXPECT_THAT(Error({{"rope_scaling", changed}}), HasSubstr("'short_factor' is not a list of numbers"));
  changed = rope;
  changed["original_max_position_embeddings"] = 0;
  EXPECT_THAT(Error({{"rope_scaling", changed}}), HasSubstr("below 1"));
}

/// A tiny Qwen2-MoE of two layers, of which the first is dense.
json MixtureConfig() {
  json config = TinyConfig();
  config.update({{"model_type", "qwen2_moe"},
                 {"architectures", {"Qwen2MoeForCausalLM"}},
                 {"num_hidden_layers", 2},
                 {"num_experts", 3},
                 {"num_experts_per_tok", 2},
                 {"moe_intermediate_size", 8},
                 {"shared_expert_intermediate_size", 16},
                 {"qkv_bias", false},
                 {"mlp_only_layers", {0}}});
  return config;
}

Result<ModelDescription> DescribeMixture(const json& changes, const std::string& left_out = "none") {
  json config = MixtureConfig();
  config.update(changes);
  auto tensors = TinyTensors();
  const std::string mlp = "model.layers.1.mlp.";
  for (const auto& [name, shape] : TinyTensors()) {
    const size_t at = name.find("layers.0.");
    if (at == std::string::npos || name.find("mlp") != std::string::npos) continue;
    tensors.push_back({std::string(name).replace(at, 9, "layers.1."), shape});
  }
  tensors.insert(tensors.end(), {{mlp + "gate.weight", {3, 32}},
                                 {mlp + "shared_expert.gate_proj.weight", {16, 32}},
                                 {mlp + "shared_expert.up_proj.weight", {16, 32}},
                                 {mlp + "shared_expert.down_proj.weight", {32, 16}},
                                 {mlp + "shared_expert_gate.weight", {1, 32}}});
  for (const std::string expert : {"0", "1", "2"}) {
    tensors.push_back({mlp + "experts." + expert + ".gate_proj.weight", {8, 32}});
    tensors.push_back({mlp + "experts." + expert + ".up_proj.weight", {8, 32}});
    tensors.push_back({mlp + "experts." + expert + ".down_proj.weight", {32, 8}});
  }
  std::erase_if(tensors, [&](const auto& tensor) { return tensor.first.ends_with(left_out); });
  const testing::TemporaryFolder folder;
  folder.Write("config.json", config.dump());
  folder.Write("model.safetensors", testing::SafetensorsOfZeros(tensors));
  const auto file = OpenModelFile(folder.path());
  if (!file.ok()) return file.status();
  return DescribeModel(**file);
}

TEST(ArchitectureConfigTest, DescribesAMixture) {
  const auto description = DescribeMixture({{"norm_topk_prob", true}});
  ASSERT_TRUE(description.ok()) << description.status().ToString();
  const Architecture& a = description->architecture;
  EXPECT_FALSE(a.mixed(0));
  EXPECT_TRUE(a.mixed(1));
  EXPECT_EQ(a.inner, 64);
  EXPECT_EQ(a.mixture.experts, 3);
  EXPECT_EQ(a.mixture.per_token, 2);
  EXPECT_EQ(a.mixture.inner, 8);
  EXPECT_EQ(a.mixture.shared_inner, 16);
  EXPECT_TRUE(a.mixture.renormalise);
  EXPECT_FALSE(a.attention_bias);
  // transformers 5 writes Mixtral's name for the number of experts.
  const auto renamed = DescribeMixture({{"num_experts", nullptr}, {"num_local_experts", 3}});
  EXPECT_TRUE(renamed.ok()) << renamed.status().ToString();
}

TEST(ArchitectureConfigTest, DenseLayersOfAMixture) {
  const auto layers = [](const json& changes) { return DescribeMixture(changes).status().ToString(); };
  EXPECT_TRUE(DescribeMixture({{"mlp_only_layers", json::array()}, {"decoder_sparse_step", 2}}).ok());
  EXPECT_THAT(layers({{"decoder_sparse_step", 3}}), HasSubstr("leave no mixed layer"));
  EXPECT_THAT(layers({{"mlp_only_layers", {0, 1}}}), HasSubstr("leave no mixed layer"));
  for (const json& wrong : {json(1), json({2}), json({-1}), json({"0"}), json({0.5})}) {
    EXPECT_THAT(layers({{"mlp_only_layers", wrong}}), HasSubstr("'mlp_only_layers' is not a list of layers"));
  }
}

TEST(ArchitectureConfigTest, MixturesThatAreNone) {
  const auto error = [](const json& changes) { return DescribeMixture(changes).status().ToString(); };
  EXPECT_THAT(error({{"num_experts", 0}}), HasSubstr("'num_experts' is below 1"));
  EXPECT_THAT(error({{"num_experts", 5000}}),
              HasSubstr("the number of experts is 5000, must be from 0 to 4096"));
  EXPECT_THAT(error({{"num_experts_per_tok", 4}}), HasSubstr("a token uses is 4, must be from 1 to 3"));
  EXPECT_THAT(error({{"num_experts_per_tok", 0}}), HasSubstr("a token uses is 0"));
  EXPECT_THAT(error({{"shared_expert_intermediate_size", 0}}),
              HasSubstr("the width of the shared expert is 0"));
  EXPECT_THAT(error({{"use_sliding_window", true}}), HasSubstr("UNIMPLEMENTED"));
  EXPECT_THAT(error({{"model_type", "qwen3_next"}}), HasSubstr("the family 'qwen3_next'"));
  EXPECT_THAT(DescribeMixture(json::object(), "experts.2.up_proj.weight").status().ToString(),
              HasSubstr("'model.layers.1.mlp.experts.2.up_proj.weight' is missing"));
  EXPECT_THAT(DescribeMixture({{"num_experts", 2}}).status().ToString(),
              HasSubstr("[3, 32], must be [2, 32]"));
}

json GptOssConfig() {
  json config = TinyConfig();
  config.update({{"model_type", "gpt_oss"},
                 {"architectures", {"GptOssForCausalLM"}},
                 {"num_hidden_layers", 2},
                 {"num_local_experts", 3},
                 {"num_experts_per_tok", 2},
                 {"head_dim", 16},
                 {"sliding_window", 8},
                 {"rope_scaling",
                  {{"rope_type", "yarn"},
                   {"factor", 32.0},
                   {"truncate", false},
                   {"original_max_position_embeddings", 4}}}});
  return config;
}

/// `changes`: null removes a field.
Result<ModelDescription> DescribeGptOss(const json& changes, const std::string& left_out = "none") {
  json config = GptOssConfig();
  config.merge_patch(changes);
  std::vector<std::pair<std::string, std::vector<int64_t>>> tensors = {{"model.embed_tokens.weight", {8, 32}},
                                                                       {"model.norm.weight", {32}}};
  for (const std::string number : {"0", "1"}) {
    const std::string layer = "model.layers." + number + ".";
    for (const auto& [name, shape] : TinyTensors()) {
      const size_t at = name.find("layers.0.");
      if (at == std::string::npos || name.find("mlp") != std::string::npos) continue;
      tensors.push_back({layer + name.substr(at + 9), shape});
    }
    const std::string attention = layer + "self_attn.";
    const std::string experts = layer + "mlp.experts.";
    tensors.insert(tensors.end(), {{attention + "q_proj.bias", {32}},
                                   {attention + "k_proj.bias", {16}},
                                   {attention + "v_proj.bias", {16}},
                                   {attention + "o_proj.bias", {32}},
                                   {attention + "sinks", {2}},
                                   {layer + "mlp.router.weight", {3, 32}},
                                   {layer + "mlp.router.bias", {3}},
                                   {experts + "gate_up_proj", {3, 32, 128}},
                                   {experts + "gate_up_proj_bias", {3, 128}},
                                   {experts + "down_proj", {3, 64, 32}},
                                   {experts + "down_proj_bias", {3, 32}}});
  }
  std::erase_if(tensors, [&](const auto& tensor) { return tensor.first.ends_with(left_out); });
  const testing::TemporaryFolder folder;
  folder.Write("config.json", config.dump());
  folder.Write("model.safetensors", testing::SafetensorsOfZeros(tensors));
  const auto file = OpenModelFile(folder.path());
  if (!file.ok()) return file.status();
  return DescribeModel(**file);
}

TEST(ArchitectureConfigTest, DescribesAGptOss) {
  const auto description = DescribeGptOss(
      {{"quantization_config", {{"quant_method", "mxfp4"}, {"modules_to_not_convert", {"lm_head"}}}}});
  ASSERT_TRUE(description.ok()) << description.status().ToString();
  const Architecture& a = description->architecture;
  EXPECT_EQ(a.window(0), 8);
  EXPECT_EQ(a.window(1), 0);
  EXPECT_TRUE(a.attention_bias && a.attention_output_bias && a.attention_sinks);
  EXPECT_EQ(a.feed_forward, FeedForwardKind::kClampedSwiGlu);
  EXPECT_EQ(a.swiglu_limit, 7.0);
  EXPECT_EQ(a.mixture.inner, 64);
  EXPECT_TRUE(a.mixture.renormalise && a.mixture.router_bias && a.mixture.expert_bias);
  EXPECT_FALSE(a.rope_scaling.truncate_range);
  const auto layers = DescribeGptOss({{"layer_types", {"full_attention", "sliding_attention"}}});
  ASSERT_TRUE(layers.ok());
  EXPECT_EQ(layers->architecture.window(0), 0);
  EXPECT_EQ(layers->architecture.window(1), 8);
}

TEST(ArchitectureConfigTest, GptOssConfigsThatAreNone) {
  const auto error = [](const json& changes) { return DescribeGptOss(changes).status().ToString(); };
  EXPECT_THAT(error({{"layer_types", {"full_attention"}}}), HasSubstr("'layer_types' is not a list of one"));
  EXPECT_THAT(error({{"layer_types", {"full_attention", "chunked_attention"}}}),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("chunked_attention")));
  EXPECT_THAT(error({{"rope_scaling", nullptr}}), HasSubstr("'rope_parameters' is missing"));
  EXPECT_THAT(error({{"sliding_window", 0}}), HasSubstr("'sliding_window' is missing"));
  EXPECT_THAT(error({{"swiglu_limit", 0.0}}), HasSubstr("the limit of SwiGLU"));
  EXPECT_THAT(error({{"swiglu_alpha", "1"}}), HasSubstr("'swiglu_alpha' is not a number"));
  EXPECT_THAT(error({{"hidden_act", "gelu"}}), AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("'gelu'")));
  EXPECT_THAT(error({{"quantization_config", {{"quant_method", "fp8"}}}}),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("'fp8'")));
  EXPECT_THAT(error({{"attention_bias", false}}), HasSubstr("is no part of the architecture"));
  for (const std::string name : {"self_attn.sinks", "mlp.router.bias", "mlp.experts.gate_up_proj",
                                 "mlp.experts.down_proj_bias", "self_attn.o_proj.bias"}) {
    EXPECT_THAT(DescribeGptOss(json::object(), name).status().ToString(),
                HasSubstr("'model.layers.0." + name + "' is missing"));
  }
  EXPECT_THAT(error({{"intermediate_size", 32}}), HasSubstr("has the shape"));
}

json DeepseekConfig(const std::string& family) {
  json config = TinyConfig();
  config.update(
      {{"model_type", family},
       {"architectures", {family == "deepseek_v2" ? "DeepseekV2ForCausalLM" : "DeepseekV3ForCausalLM"}},
       {"num_hidden_layers", 2},
       {"num_key_value_heads", 2},
       {"q_lora_rank", 24},
       {"kv_lora_rank", 16},
       {"qk_nope_head_dim", 12},
       {"qk_rope_head_dim", 4},
       {"v_head_dim", 10},
       {"n_routed_experts", 4},
       {"n_shared_experts", 2},
       {"num_experts_per_tok", 2},
       {"moe_intermediate_size", 8},
       {"first_k_dense_replace", 1},
       {"n_group", 2},
       {"topk_group", 1}});
  return config;
}

/// `changes`: null removes a field.
Result<ModelDescription> DescribeDeepseek(const std::string& family, const json& changes,
                                          const std::string& left_out = "none") {
  json config = DeepseekConfig(family);
  config.merge_patch(changes);
  std::vector<std::pair<std::string, std::vector<int64_t>>> tensors = {{"model.embed_tokens.weight", {8, 32}},
                                                                       {"model.norm.weight", {32}}};
  for (const std::string number : {"0", "1"}) {
    const std::string layer = "model.layers." + number + ".";
    const std::string attention = layer + "self_attn.";
    tensors.insert(tensors.end(), {{layer + "input_layernorm.weight", {32}},
                                   {layer + "post_attention_layernorm.weight", {32}},
                                   {attention + "q_a_proj.weight", {24, 32}},
                                   {attention + "q_a_layernorm.weight", {24}},
                                   {attention + "q_b_proj.weight", {32, 24}},
                                   {attention + "kv_a_proj_with_mqa.weight", {20, 32}},
                                   {attention + "kv_a_layernorm.weight", {16}},
                                   {attention + "kv_b_proj.weight", {44, 16}},
                                   {attention + "o_proj.weight", {32, 20}}});
  }
  const auto add_block = [&](const std::string& prefix, int64_t inner) {
    tensors.push_back({prefix + "gate_proj.weight", {inner, 32}});
    tensors.push_back({prefix + "up_proj.weight", {inner, 32}});
    tensors.push_back({prefix + "down_proj.weight", {32, inner}});
  };
  const std::string mlp = "model.layers.1.mlp.";
  add_block("model.layers.0.mlp.", 64);
  add_block(mlp + "shared_experts.", 16);
  for (int expert = 0; expert < 4; ++expert) add_block(mlp + "experts." + std::to_string(expert) + ".", 8);
  tensors.push_back({mlp + "gate.weight", {4, 32}});
  if (family == "deepseek_v3") tensors.push_back({mlp + "gate.e_score_correction_bias", {4}});
  tensors.push_back({"model.layers.2.eh_proj.weight", {32, 64}});
  std::erase_if(tensors, [&](const auto& tensor) { return tensor.first.ends_with(left_out); });
  const testing::TemporaryFolder folder;
  folder.Write("config.json", config.dump());
  folder.Write("model.safetensors", testing::SafetensorsOfZeros(tensors));
  const auto file = OpenModelFile(folder.path());
  if (!file.ok()) return file.status();
  return DescribeModel(**file);
}

/// Of V2, whose files hold no layer that guesses further tokens.
std::string Deepseek2Error(const json& changes, const std::string& left_out = "eh_proj.weight") {
  return DescribeDeepseek("deepseek_v2", changes, left_out).status().ToString();
}

std::string Deepseek3Error(const json& changes, const std::string& left_out = "eh_proj.weight") {
  return DescribeDeepseek("deepseek_v3", changes, left_out).status().ToString();
}

TEST(ArchitectureConfigTest, DescribesADeepseek) {
  const auto third = DescribeDeepseek("deepseek_v3", {{"num_nextn_predict_layers", 1}});
  ASSERT_TRUE(third.ok()) << third.status().ToString();
  const Architecture& a = third->architecture;
  EXPECT_EQ(a.head_dim, 16);
  EXPECT_EQ(a.rope_dims, 4);
  EXPECT_EQ(a.cached_key_dim(), 20);
  EXPECT_EQ(a.output_dim(), 10);
  EXPECT_EQ(a.rope_layout, RopeLayout::kInterleaved);
  EXPECT_NEAR(a.attention_scale, 0.25, 1e-12);
  EXPECT_EQ(a.mixture.score, RouterScore::kSigmoid);
  EXPECT_EQ(a.mixture.weight_scale, 2.5);
  EXPECT_TRUE(a.mixture.choice_bias && a.mixture.renormalise);
  EXPECT_EQ(a.mixture.shared_inner, 16);
  EXPECT_FALSE(a.mixed(0));
  const auto second = DescribeDeepseek("deepseek_v2",
                                       {{"topk_method", "group_limited_greedy"},
                                        {"routed_scaling_factor", 16.0},
                                        {"rope_scaling",
                                         {{"rope_type", "yarn"},
                                          {"factor", 40.0},
                                          {"mscale", 0.707},
                                          {"mscale_all_dim", 0.707},
                                          {"original_max_position_embeddings", 64}}}},
                                       "eh_proj.weight");
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  const Architecture& b = second->architecture;
  EXPECT_EQ(b.mixture.score, RouterScore::kSoftmax);
  EXPECT_EQ(b.mixture.groups, 2);
  EXPECT_EQ(b.mixture.weight_scale, 16.0);
  EXPECT_FALSE(b.mixture.choice_bias);
  EXPECT_NEAR(b.attention_scale, 0.25 * std::pow(0.1 * 0.707 * std::log(40.0) + 1.0, 2), 1e-9);
  EXPECT_NEAR(b.rope_scaling.attention_factor, 1.0, 1e-12);
  // "greedy" looks at no groups.
  EXPECT_EQ(DescribeDeepseek("deepseek_v2", json::object(), "eh_proj.weight")->architecture.mixture.groups,
            1);
}

TEST(ArchitectureConfigTest, DeepseekConfigsThatAreNone) {
  const auto refused = [](const std::string& error, const char* words) {
    EXPECT_THAT(error, AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr(words)));
  };
  refused(Deepseek2Error({{"norm_topk_prob", true}}), "'norm_topk_prob'");
  refused(Deepseek2Error({{"topk_method", "noaux_tc"}}), "'topk_method': 'noaux_tc'");
  refused(Deepseek2Error({{"scoring_func", "sigmoid"}}), "'scoring_func': 'sigmoid'");
  refused(Deepseek3Error({{"scoring_func", "softmax"}}), "'scoring_func': 'softmax'");
  refused(Deepseek3Error({{"topk_method", "greedy"}}), "'topk_method': 'greedy'");
  refused(Deepseek3Error({{"num_key_value_heads", 1}}), "'num_key_value_heads'");
  refused(Deepseek3Error({{"moe_layer_freq", 2}}), "'moe_layer_freq'");
  refused(Deepseek3Error({{"attention_bias", true}}), "'attention_bias'");
  refused(Deepseek3Error({{"quantization_config", {{"quant_method", "fp8"}}}}), "'fp8'");
  // Without the field the layer that guesses further tokens is in nobody's way but unexplained.
  refused(Deepseek3Error(json::object(), "none"), "model.layers.2.eh_proj.weight");
  EXPECT_THAT(Deepseek3Error({{"n_group", 3}}), HasSubstr("3 groups, of which a token uses 1, do not fit 4"));
  EXPECT_THAT(Deepseek3Error({{"num_experts_per_tok", 3}}), HasSubstr("do not fit"));
  EXPECT_THAT(Deepseek3Error({{"n_group", 4}}), HasSubstr("do not fit"));
  EXPECT_THAT(Deepseek3Error({{"kv_lora_rank", 0}}), HasSubstr("'kv_lora_rank' is below 1"));
  EXPECT_THAT(Deepseek3Error({{"qk_rope_head_dim", 3}}), HasSubstr("the width of a head is odd"));
  EXPECT_THAT(Deepseek3Error({{"v_head_dim", 0}}), HasSubstr("the width of a head's values is 0"));
  for (const std::string name : {"self_attn.q_a_layernorm.weight", "self_attn.kv_b_proj.weight"}) {
    EXPECT_THAT(Deepseek3Error({{"num_nextn_predict_layers", 1}}, name),
                HasSubstr("'model.layers.0." + name + "' is missing"));
  }
  EXPECT_THAT(Deepseek3Error({{"num_nextn_predict_layers", 1}}, "e_score_correction_bias"),
              HasSubstr("e_score_correction_bias' is missing"));
}

}  // namespace
}  // namespace conclave::engine
