#include "engine/quantise/tensor_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace conclave::engine {
namespace {

using ::testing::HasSubstr;

TensorView Tensor(std::string name, std::vector<int64_t> shape) {
  TensorView tensor{.name = std::move(name), .rank = static_cast<int>(shape.size())};
  std::copy(shape.begin(), shape.end(), tensor.shape.begin());
  return tensor;
}

TEST(TensorPlanTest, EveryTypeIsFoundInAnyCase) {
  EXPECT_EQ(*ParseTargetType("Q4_K"), DType::kQ4_K);
  EXPECT_EQ(*ParseTargetType("q8_0"), DType::kQ8_0);
  EXPECT_EQ(*ParseTargetType("f16"), DType::kF16);
  const Status status = ParseTargetType("Q3_K").status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("Q4_K"));
}

TEST(TensorPlanTest, RowsThatAreNotWholeBlocksTakeLlamaQuantizesTypes) {
  EXPECT_EQ(FittingType(DType::kQ4_K, 512), DType::kQ4_K);
  EXPECT_EQ(FittingType(DType::kQ4_K, 576), DType::kQ5_0);
  EXPECT_EQ(FittingType(DType::kQ5_K, 576), DType::kQ5_1);
  EXPECT_EQ(FittingType(DType::kQ6_K, 576), DType::kQ8_0);
  EXPECT_EQ(FittingType(DType::kQ4_0, 576), DType::kQ4_0);
  EXPECT_EQ(FittingType(DType::kQ4_K, 80), DType::kF16);
  EXPECT_EQ(FittingType(DType::kQ4_0, 33), DType::kF16);
}

TEST(TensorPlanTest, NormsAndVectorsStayFloatAndTheHeadHasItsOwnType) {
  const TensorTypes types{.matrices = DType::kQ4_0, .head = DType::kQ6_K};
  const std::vector<TensorView> tied = {
      Tensor("token_embd.weight", {8, 256}),     Tensor("output_norm.weight", {256}),
      Tensor("blk.0.attn_q.weight", {256, 256}), Tensor("blk.0.attn_q_norm.weight", {4, 256}),
      Tensor("blk.0.attn_q.bias", {256}),        Tensor("rope_freqs.weight", {32})};
  EXPECT_EQ(PlanTensors(tied, types), (std::vector<DType>{DType::kQ6_K, DType::kF32, DType::kQ4_0,
                                                          DType::kF32, DType::kF32, DType::kF32}));
  std::vector<TensorView> untied = {tied[0], Tensor("output.weight", {8, 256}),
                                    Tensor("blk.0.ffn_down_exps.weight", {4, 256, 512})};
  EXPECT_EQ(PlanTensors(untied, types), (std::vector<DType>{DType::kQ4_0, DType::kQ6_K, DType::kQ4_0}));
}

TEST(TensorPlanTest, FileTypesAreGgufs) {
  EXPECT_EQ(FileTypeOf(DType::kF32), 0u);
  EXPECT_EQ(FileTypeOf(DType::kQ4_0), 2u);
  EXPECT_EQ(FileTypeOf(DType::kQ8_0), 7u);
  EXPECT_EQ(FileTypeOf(DType::kQ6_K), 18u);
}

}  // namespace
}  // namespace conclave::engine
