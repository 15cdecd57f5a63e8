#include <cstring>

#include "engine/kernels/kernels.h"
#include "engine/kernels/packing/source_block.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/kernels/closeness.h"
#include "tests/unit/engine/kernels/random_data.h"

namespace conclave::engine {
namespace {

using testing::RandomFloats;
using testing::RandomMatrix;
using testing::StoredMatrix;

constexpr float kUntouched = -12345.0f;

/// Inputs for one product, and its output by any set.
struct Problem {
  StoredMatrix stored;
  PackedMatrix packed;
  int64_t tokens;
  std::vector<float> x;
  QuantisedRows x8;

  Problem(std::mt19937& random, DType dtype, int64_t rows, int64_t columns, int64_t tokens)
      : stored(RandomMatrix(random, dtype, rows, columns)),
        packed(std::move(PackedMatrix::Pack(stored.view)).value()),
        tokens(tokens),
        x(RandomFloats(random, tokens * columns)) {
    Quantise();
  }

  void Quantise() {
    x8.Resize(tokens, packed.columns());
    for (int64_t t = 0; t < tokens; ++t) {
      ReferenceKernels().quantise_row(x.data() + t * packed.columns(), t, x8);
    }
  }

  int64_t out_stride() const { return packed.rows() + 3; }

  std::vector<float> Multiply(const Kernels& kernels, int64_t row_begin, int64_t row_end, int64_t first_token,
                              int64_t count) const {
    std::vector<float> out(static_cast<size_t>(count * out_stride()), kUntouched);
    QuantisedRows part;
    if (packed.quantised()) part = Slice(first_token, count);
    kernels.matmul(packed, row_begin, row_end, x.data() + first_token * packed.columns(), packed.columns(),
                   &part, count, out.data(), out_stride());
    return out;
  }

  QuantisedRows Slice(int64_t first, int64_t count) const {
    QuantisedRows out;
    out.Resize(count, x8.columns);
    const int64_t blocks = x8.blocks();
    std::copy_n(x8.q.begin() + first * blocks * 32, count * blocks * 32, out.q.begin());
    std::copy_n(x8.scales.begin() + first * blocks, count * blocks, out.scales.begin());
    for (int64_t row = 0; row < count; ++row) out.SumRow(row);
    return out;
  }
};

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class MatmulTest : public ::testing::TestWithParam<DType> {
 protected:
  std::mt19937 random_{11};
};

class QuantisedMatmulTest : public MatmulTest {};

/// What the product is in float64, and the sum of the sizes of everything that was added for it.
struct Truth {
  double value = 0.0;
  double magnitude = 0.0;
};

Truth Exact(const Problem& problem, int64_t row, int64_t token) {
  const PackedMatrix& w = problem.packed;
  const std::vector<float> numbers = problem.stored.Row(row);
  Truth truth;
  for (int64_t column = 0; column < w.columns(); ++column) {
    double x = problem.x[token * w.columns() + column];
    double offset = 0.0;
    if (w.quantised()) {
      const int64_t block = token * problem.x8.blocks() + column / 32;
      x = static_cast<double>(problem.x8.scales[block]) * problem.x8.q[block * 32 + column % 32];
      const TensorView& view = problem.stored.view;
      const std::byte* data = view.data + row * *RowBytes(view.dtype, view.columns());
      offset = ReadSourceBlock(view.dtype, data, column / 32).offset;
    }
    truth.value += numbers[column] * x;
    truth.magnitude += (std::fabs(numbers[column]) + 2 * std::fabs(offset)) * std::fabs(x);
  }
  return truth;
}

TEST_P(MatmulTest, ReferenceIsTheProductToWithinRounding) {
  const Problem problem(random_, GetParam(), 21, 512, 3);
  const std::vector<float> out = problem.Multiply(ReferenceKernels(), 0, 21, 0, 3);
  // Each float32 operation of the sum, and of each weight, rounds by at most 2^-24 of what was added so far.
  const double operations = problem.packed.quantised() ? 512.0 / 32 * 6 : 512.0;
  for (int64_t token = 0; token < 3; ++token) {
    for (int64_t row = 0; row < 21; ++row) {
      const Truth truth = Exact(problem, row, token);
      const testing::Tolerance tolerance{.absolute = operations * 0x1p-24 * truth.magnitude};
      EXPECT_TRUE(testing::IsClose(out[token * problem.out_stride() + row], static_cast<float>(truth.value),
                                   tolerance))
          << "row " << row << ", token " << token << ": " << out[token * problem.out_stride() + row]
          << " for " << truth.value;
    }
  }
}

TEST_P(MatmulTest, EverySetGivesTheSameBitsForAnyTokenCount) {
  const int64_t columns = IsQuantised(GetParam()) ? 768 : 771;
  const Problem problem(random_, GetParam(), 37, columns, 33);
  const std::vector<float> wanted = problem.Multiply(ReferenceKernels(), 0, 37, 0, 33);
  for (const Kernels* kernels : AvailableKernels()) {
    for (int64_t count = 1; count <= 33; ++count) {
      const std::vector<float> got = problem.Multiply(*kernels, 0, 37, 0, count);
      const std::vector<float> part(wanted.begin(), wanted.begin() + count * problem.out_stride());
      ASSERT_TRUE(SameBits(got, part)) << kernels->name << ", " << count << " tokens";
    }
  }
}

TEST_P(MatmulTest, RowRangesChangeNothingAndTouchNothingElse) {
  const Problem problem(random_, GetParam(), 83, 256, 5);
  const std::vector<float> wanted = problem.Multiply(ReferenceKernels(), 0, 83, 0, 5);
  for (const Kernels* kernels : AvailableKernels()) {
    for (const auto& [begin, end] : std::vector<std::pair<int64_t, int64_t>>{
             {0, 1}, {0, 16}, {16, 31}, {32, 83}, {80, 83}, {48, 48}, {64, 73}}) {
      std::vector<float> expected(wanted.size(), kUntouched);
      for (int64_t token = 0; token < 5; ++token) {
        const int64_t row = token * problem.out_stride();
        std::copy(wanted.begin() + row + begin, wanted.begin() + row + end, expected.begin() + row + begin);
      }
      EXPECT_TRUE(SameBits(problem.Multiply(*kernels, begin, end, 0, 5), expected))
          << kernels->name << ", rows " << begin << " to " << end;
    }
  }
}

TEST_P(QuantisedMatmulTest, TheWidestIntegersDoNotSaturate) {
  Problem problem(random_, GetParam(), 16, 256, 2);
  for (int64_t i = 0; i < 512; ++i) problem.x[i] = i % 3 == 0 && i >= 256 ? -1.0f : 1.0f;
  for (const std::byte fill : {std::byte{0x00}, std::byte{0xFF}, std::byte{0x80}, std::byte{0x7F}}) {
    StoredMatrix& stored = problem.stored;
    const StoredMatrix scales = RandomMatrix(random_, GetParam(), 16, 256);
    stored.bytes.assign(stored.bytes.size(), fill);
    const int64_t block_bytes = InfoOf(GetParam()).block_bytes;
    for (size_t block = 0; block < stored.bytes.size(); block += static_cast<size_t>(block_bytes)) {
      for (const int64_t at : testing::ScaleOffsets(GetParam())) {
        std::memcpy(stored.bytes.data() + block + at, scales.bytes.data() + block + at, 2);
      }
    }
    stored.view.data = stored.bytes.data();
    problem.packed = std::move(PackedMatrix::Pack(stored.view)).value();
    problem.Quantise();
    const std::vector<float> wanted = problem.Multiply(ReferenceKernels(), 0, 16, 0, 2);
    for (const Kernels* kernels : AvailableKernels()) {
      EXPECT_TRUE(SameBits(problem.Multiply(*kernels, 0, 16, 0, 2), wanted)) << kernels->name;
    }
  }
}

TEST_P(MatmulTest, NonFiniteActivationsGiveNan) {
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    Problem problem(random_, GetParam(), 16, 256, 2);
    problem.x[256 + 100] = bad;
    problem.Quantise();
    for (const Kernels* kernels : AvailableKernels()) {
      const std::vector<float> out = problem.Multiply(*kernels, 0, 16, 0, 2);
      for (int64_t row = 0; row < 16; ++row) {
        EXPECT_TRUE(std::isfinite(out[row])) << kernels->name;
        EXPECT_FALSE(std::isfinite(out[problem.out_stride() + row])) << kernels->name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, MatmulTest, ::testing::ValuesIn(testing::kAllDTypes),
                         [](const auto& info) { return std::string(InfoOf(info.param).name); });

INSTANTIATE_TEST_SUITE_P(Formats, QuantisedMatmulTest, ::testing::ValuesIn(testing::kQuantisedDTypes),
                         [](const auto& info) { return std::string(InfoOf(info.param).name); });

TEST(MatmulPassTest, LongPromptsThatTakeSeveralPassesGiveTheSameBits) {
  std::mt19937 random(3);
  const Problem problem(random, DType::kQ4_1, 16, 4096, 77);
  const std::vector<float> wanted = problem.Multiply(ReferenceKernels(), 0, 16, 0, 77);
  for (const Kernels* kernels : AvailableKernels()) {
    EXPECT_TRUE(SameBits(problem.Multiply(*kernels, 0, 16, 0, 77), wanted)) << kernels->name;
  }
}

}  // namespace
}  // namespace conclave::engine
