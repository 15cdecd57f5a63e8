#include "engine/kernels/cpu_features.h"
#include "engine/kernels/kernels.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace conclave::engine {
namespace {

TEST(DispatchTest, TheReferenceIsAlwaysThereAndFirst) {
  const auto sets = AvailableKernels();
  ASSERT_FALSE(sets.empty());
  EXPECT_EQ(sets.front(), &ReferenceKernels());
  EXPECT_EQ(sets.front()->name, "reference");
}

TEST(DispatchTest, SetsFollowTheProcessor) {
  const CpuFeatures features = DetectCpuFeatures();
  EXPECT_EQ(AvailableKernels().size(), 1u + features.avx2 + features.avx512 + features.avx512_bf16);
  EXPECT_EQ(features.avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
  EXPECT_EQ(features.avx512,
            features.avx2 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw"));
}

TEST(DispatchTest, NamesChooseSets) {
  for (const Kernels* set : AvailableKernels()) EXPECT_EQ(*FindKernels(set->name), set);
  EXPECT_EQ(*FindKernels(""), AvailableKernels().back());
}

TEST(DispatchTest, UnknownNamesAreReported) {
  const auto found = FindKernels("sse9");
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(found.status().message(), ::testing::HasSubstr("'sse9'"));
}

TEST(DispatchTest, EverySetIsComplete) {
  for (const Kernels* set : AvailableKernels()) {
    EXPECT_NE(set->quantise_row, nullptr);
    EXPECT_NE(set->matmul, nullptr);
    EXPECT_NE(set->rms_norm, nullptr);
    EXPECT_NE(set->rope, nullptr);
    EXPECT_NE(set->swiglu, nullptr);
    EXPECT_NE(set->exp, nullptr);
    EXPECT_NE(set->add, nullptr);
    EXPECT_NE(set->to_brain, nullptr);
    EXPECT_NE(set->attention, nullptr);
  }
}

TEST(DispatchTest, TheChoiceIsOneOfTheAvailableSets) {
  EXPECT_THAT(AvailableKernels(), ::testing::Contains(&BestKernels()));
}

}  // namespace
}  // namespace conclave::engine
