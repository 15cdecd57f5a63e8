#include "services/decoder/generation_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/decoder/wire.h"
#include "tests/support/temporary_folder.h"

namespace conclave::decoder {
namespace {

using ::testing::HasSubstr;

class GenerationConfig : public ::testing::Test {
 protected:
  Result<engine::SamplingParams> Read(std::string_view json) {
    folder_.Write("generation_config.json", json);
    return ReadGenerationConfig(folder_.Write("model.gguf", ""));
  }

  conclave::testing::TemporaryFolder folder_;
};

TEST_F(GenerationConfig, WithoutTheFileNothingIsRecommended) {
  const auto params = ReadGenerationConfig(folder_.Write("model.gguf", ""));
  ASSERT_TRUE(params.ok());
  EXPECT_EQ(params->temperature, engine::SamplingParams().temperature);
}

TEST_F(GenerationConfig, IsReadBesideAFileAndInAFolder) {
  const auto beside = Read(R"({"temperature": 0.25, "top_p": 0.5, "top_k": 7, "min_p": 0.125,
                               "repetition_penalty": 1.5, "eos_token_id": [1, 2], "_from_model_config": true})");
  ASSERT_TRUE(beside.ok()) << beside.status().ToString();
  EXPECT_EQ(beside->temperature, 0.25);
  EXPECT_EQ(beside->top_p, 0.5);
  EXPECT_EQ(beside->top_k, 7);
  EXPECT_EQ(beside->min_p, 0.125);
  EXPECT_EQ(beside->repetition_penalty, 1.5);
  const auto inside = ReadGenerationConfig(folder_.path());
  ASSERT_TRUE(inside.ok());
  EXPECT_EQ(inside->top_k, 7);
}

TEST_F(GenerationConfig, NullRecommendsNothingAndNoSamplingIsGreedy) {
  EXPECT_EQ(Read(R"({"temperature": null})")->temperature, engine::SamplingParams().temperature);
  EXPECT_EQ(Read(R"({"temperature": 0.5, "do_sample": false})")->temperature, 0.0);
  EXPECT_EQ(Read(R"({"temperature": 0.5, "do_sample": true})")->temperature, 0.5);
}

TEST_F(GenerationConfig, WhatMakesNoSenseIsRefusedByName) {
  for (const char* json : {"", "[]", "{", R"({"temperature": "hot"})", R"({"temperature": -1})",
                           R"({"top_k": 1.5})", R"({"top_p": 0})", R"({"top_k": 18446744073709551615})"}) {
    const auto params = Read(json);
    ASSERT_FALSE(params.ok()) << json;
    EXPECT_EQ(params.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(params.status().message(), HasSubstr("generation_config.json")) << json;
  }
  EXPECT_THAT(Read(R"({"min_p": [1]})").status().message(), HasSubstr("min_p is of the type array"));
}

TEST_F(GenerationConfig, ARequestChangesOnlyWhatItSets) {
  const v1::SamplingParams defaults = ToWire(*Read(R"({"temperature": 0.25, "top_p": 0.5})"));
  v1::SamplingParams request;
  request.set_top_p(1.0);
  const auto params = FromWire(request, defaults);
  ASSERT_TRUE(params.ok());
  EXPECT_EQ(params->temperature, 0.25);
  EXPECT_EQ(params->top_p, 1.0);
}

}  // namespace
}  // namespace conclave::decoder
