#include "engine/kernels/packed_matrix.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/kernels/random_data.h"

namespace conclave::engine {
namespace {

using testing::RandomMatrix;
using testing::StoredMatrix;

class PackedMatrixTest : public ::testing::TestWithParam<DType> {
 protected:
  std::mt19937 random_{7};
};

void ExpectRows(const StoredMatrix& stored, const PackedMatrix& packed, int64_t first_row,
                int64_t first_column) {
  for (int64_t row = 0; row < packed.rows(); ++row) {
    const std::vector<float> wanted = stored.Row(first_row + row);
    std::vector<float> got(static_cast<size_t>(packed.columns()));
    packed.UnpackRow(row, got.data());
    for (int64_t column = 0; column < packed.columns(); ++column) {
      ASSERT_EQ(got[column], wanted[first_column + column]) << "row " << row << ", column " << column;
    }
  }
}

TEST_P(PackedMatrixTest, UnpacksToTheStoredNumbers) {
  for (const int64_t rows : {1, 15, 16, 17, 50}) {
    const StoredMatrix stored = RandomMatrix(random_, GetParam(), rows, 768);
    const Result<PackedMatrix> packed = PackedMatrix::Pack(stored.view);
    ASSERT_TRUE(packed.ok()) << packed.status().ToString();
    EXPECT_EQ(packed->rows(), rows);
    EXPECT_EQ(packed->columns(), 768);
    EXPECT_EQ(packed->quantised(), IsQuantised(GetParam()));
    ExpectRows(stored, *packed, 0, 0);
  }
}

TEST_P(PackedMatrixTest, PacksAPart) {
  const StoredMatrix stored = RandomMatrix(random_, GetParam(), 40, 1024);
  const Result<PackedMatrix> packed = PackedMatrix::Pack(stored.view, 5, 38, 256, 768);
  ASSERT_TRUE(packed.ok()) << packed.status().ToString();
  EXPECT_EQ(packed->rows(), 33);
  EXPECT_EQ(packed->columns(), 512);
  ExpectRows(stored, *packed, 5, 256);
}

TEST_P(PackedMatrixTest, PacksNothing) {
  const StoredMatrix stored = RandomMatrix(random_, GetParam(), 4, 256);
  const Result<PackedMatrix> packed = PackedMatrix::Pack(stored.view, 2, 2, 0, 256);
  ASSERT_TRUE(packed.ok()) << packed.status().ToString();
  EXPECT_EQ(packed->bytes(), 0);
}

TEST_P(PackedMatrixTest, RefusesPartsOutsideTheTensor) {
  const StoredMatrix stored = RandomMatrix(random_, GetParam(), 4, 256);
  for (const auto& [row_begin, row_end, column_begin, column_end] :
       std::vector<std::array<int64_t, 4>>{{-1, 4, 0, 256},
                                           {3, 2, 0, 256},
                                           {0, 5, 0, 256},
                                           {0, 4, 0, 512},
                                           {0, 4, 256, 0},
                                           {0, 4, -256, 0}}) {
    const auto packed = PackedMatrix::Pack(stored.view, row_begin, row_end, column_begin, column_end);
    ASSERT_FALSE(packed.ok());
    EXPECT_EQ(packed.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(packed.status().message(), ::testing::HasSubstr("'w'"));
  }
}

TEST_P(PackedMatrixTest, RefusesTruncatedData) {
  StoredMatrix stored = RandomMatrix(random_, GetParam(), 4, 256);
  stored.view.bytes -= 1;
  EXPECT_EQ(PackedMatrix::Pack(stored.view).status().code(), StatusCode::kInvalidArgument);
}

TEST_P(PackedMatrixTest, RefusesMemoryOfAGpu) {
  StoredMatrix stored = RandomMatrix(random_, GetParam(), 4, 256);
  stored.view.device.kind = Device::Kind::kCuda;
  EXPECT_EQ(PackedMatrix::Pack(stored.view).status().code(), StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Formats, PackedMatrixTest, ::testing::ValuesIn(testing::kAllDTypes),
                         [](const auto& info) { return std::string(InfoOf(info.param).name); });

TEST(PackedMatrixBlocksTest, RefusesSplitBlocks) {
  std::mt19937 random(1);
  const StoredMatrix stored = RandomMatrix(random, DType::kQ4_K, 4, 512);
  EXPECT_EQ(PackedMatrix::Pack(stored.view, 0, 4, 0, 32).status().code(), StatusCode::kInvalidArgument);
  const StoredMatrix small = RandomMatrix(random, DType::kQ8_0, 4, 512);
  EXPECT_EQ(PackedMatrix::Pack(small.view, 0, 4, 16, 512).status().code(), StatusCode::kInvalidArgument);
}

TEST(PackedMatrixBlocksTest, SmallFormatsKeepTheirSize) {
  std::mt19937 random(1);
  for (const DType dtype : {DType::kQ4_0, DType::kQ4_1, DType::kQ8_0}) {
    const StoredMatrix stored = RandomMatrix(random, dtype, 32, 512);
    EXPECT_EQ(PackedMatrix::Pack(stored.view)->bytes(), stored.view.bytes) << InfoOf(dtype).name;
  }
}

TEST(PackedMatrixBlocksTest, FloatsTakeAnyWidth) {
  std::mt19937 random(1);
  const StoredMatrix stored = RandomMatrix(random, DType::kBF16, 19, 37);
  const auto packed = PackedMatrix::Pack(stored.view, 1, 18, 3, 30);
  ASSERT_TRUE(packed.ok());
  ExpectRows(stored, *packed, 1, 3);
}

}  // namespace
}  // namespace conclave::engine
