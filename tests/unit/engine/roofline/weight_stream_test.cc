#include "engine/roofline/weight_stream.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/small_llama.h"
#include "tests/support/temporary_folder.h"

namespace conclave::engine {
namespace {

using testing::MatrixType;
using Sizes = testing::SmallLlamaSizes;

class WeightStreamTest : public ::testing::TestWithParam<MatrixType> {
 protected:
  void SetUp() override {
    const std::string path = folder_.Write("small.gguf", testing::SmallLlama(GetParam()).Bytes());
    pool_ = std::make_shared<ThreadPool>(3);
    auto model = LanguageModel::Load(path, 0, pool_);
    ASSERT_TRUE(model.ok()) << model.status().message();
    model_ = *std::move(model);
  }

  testing::TemporaryFolder folder_;
  std::shared_ptr<ThreadPool> pool_;
  std::unique_ptr<LanguageModel> model_;
};

TEST_P(WeightStreamTest, ReadsEveryWeightOnce) {
  WeightStream stream(*model_);
  EXPECT_EQ(stream.bytes(), model_->weight_bytes());
  EXPECT_EQ(stream.regions(), static_cast<int64_t>(4 * Sizes::kLayers + 1));
  const Status status = stream.Validate(*pool_);  // every output row of every region was written
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST_P(WeightStreamTest, CountsTheProductsOfLayersAndHead) {
  const WeightStream stream(*model_);
  const int64_t kv_width = Sizes::kKvHeads * Sizes::kHeadDim;
  const int64_t hidden = Sizes::kHidden;
  const int64_t layer = hidden * (2 * hidden + 2 * kv_width + 3 * static_cast<int64_t>(Sizes::kInner));
  const auto layers = stream.CountProducts(false);
  const auto head = stream.CountProducts(true);
  const bool floats = GetParam() == MatrixType::kF32;
  EXPECT_EQ(floats ? layers.floats : layers.int8, layer * static_cast<int64_t>(Sizes::kLayers));
  EXPECT_EQ(floats ? head.floats : head.int8, hidden * static_cast<int64_t>(Sizes::kVocabulary));
  EXPECT_EQ(floats ? layers.int8 + head.int8 : layers.floats + head.floats, 0);
}

/// Leaves out the last row of what it is asked for.
void MatmulWithoutTheLastRow(const PackedMatrix& w, int64_t row_begin, int64_t row_end, const float* x,
                             int64_t x_stride, const QuantisedRows* x8, int64_t tokens, float* out,
                             int64_t out_stride) {
  ReferenceKernels().matmul(w, row_begin, row_end - 1, x, x_stride, x8, tokens, out, out_stride);
}

TEST_P(WeightStreamTest, KernelsThatLeaveARowOutAreNotTimed) {
  Kernels broken = ReferenceKernels();
  broken.name = "broken";
  broken.matmul = MatmulWithoutTheLastRow;
  WeightStream stream(*model_, broken);
  const Status status = stream.Validate(*pool_);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("broken"), std::string::npos) << status.message();
}

INSTANTIATE_TEST_SUITE_P(Formats, WeightStreamTest,
                         ::testing::Values(MatrixType::kF32, MatrixType::kQ4_0, MatrixType::kQ8_0));

}  // namespace
}  // namespace conclave::engine
