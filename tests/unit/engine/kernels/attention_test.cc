#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/kernels/kernels.h"
#include "engine/kernels/kv_storage.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/kernels/closeness.h"
#include "tests/unit/engine/kernels/random_data.h"

namespace conclave::engine {
namespace {

using testing::AllClose;
using testing::RandomFloats;

struct Shape {
  int64_t heads = 3;
  int64_t head_dim = 64;
  int64_t block_tokens = 32;
  KvFormat format = KvFormat::kBrainPairs;
  int64_t window = 0;
  int64_t tokens = 100;
  int64_t value_dim = head_dim;
  bool sinks = false;
};

/// Keys and values of a sequence in blocks that lie apart in memory, and its queries.
class Sequence {
 public:
  Sequence(std::mt19937& random, const Shape& shape, float width = 1.0f) : shape_(shape) {
    queries_ = RandomFloats(random, shape.tokens * stride(), width);
    if (shape.sinks) sinks_ = RandomFloats(random, shape.heads, 2.0f);
    for (int64_t first = 0; first < shape.tokens; first += shape.block_tokens) {
      for (auto* blocks : {&keys_, &values_}) {
        const bool values = blocks == &values_;
        const int64_t dim = values ? shape.value_dim : shape.head_dim;
        const std::vector<float> numbers = RandomFloats(random, shape.block_tokens * dim, width);
        std::vector<std::byte>& block =
            blocks->emplace_back(KvHeadBytes(shape.format, dim, shape.block_tokens));
        for (int64_t token = 0; token < shape.block_tokens; ++token) {
          Store(numbers.data() + token * dim, token, values, block.data());
        }
      }
    }
  }

  int64_t stride() const { return shape_.heads * shape_.head_dim + 5; }
  float& query(int64_t row, int64_t at) { return queries_[row * stride() + at]; }

  void SetSink(int64_t head, float score) { sinks_[head] = score; }
  void SetKey(int64_t position, float value) { Set(false, position, value); }
  void SetValue(int64_t position, float value) { Set(true, position, value); }

  /// Attention of rows [first, first + rows): [rows][heads * value_dim].
  std::vector<float> Attend(const Kernels& kernels, int64_t first, int64_t rows, float scale = 0.125f) const {
    std::vector<const std::byte*> keys, values;
    for (const auto& block : keys_) keys.push_back(block.data());
    for (const auto& block : values_) values.push_back(block.data());
    const int64_t width = shape_.heads * shape_.value_dim;
    std::vector<float> out(static_cast<size_t>(rows * width), -1.0f);
    kernels.attention({.queries = queries_.data() + first * stride(),
                       .query_rows = rows,
                       .query_stride = stride(),
                       .heads = shape_.heads,
                       .head_dim = shape_.head_dim,
                       .value_dim = shape_.value_dim,
                       .key_blocks = keys.data(),
                       .value_blocks = values.data(),
                       .block_tokens = shape_.block_tokens,
                       .format = shape_.format,
                       .first_position = first,
                       .window = shape_.window,
                       .scale = scale,
                       .sinks = sinks_.empty() ? nullptr : sinks_.data(),
                       .out = out.data(),
                       .out_stride = width});
    return out;
  }

 private:
  void Store(const float* row, int64_t token, bool value, std::byte* block) const {
    StoreKv(shape_.format, value, row, value ? shape_.value_dim : shape_.head_dim, token, shape_.block_tokens,
            block);
  }

  void Set(bool value, int64_t position, float number) {
    const std::vector<float> row(static_cast<size_t>(value ? shape_.value_dim : shape_.head_dim), number);
    Store(row.data(), position % shape_.block_tokens, value,
          (value ? values_ : keys_)[position / shape_.block_tokens].data());
  }

  Shape shape_;
  std::vector<float> queries_, sinks_;
  std::vector<std::vector<std::byte>> keys_, values_;
};

/// Scores are sums of head_dim products of about unit numbers times 1/8, with a rounding each; an error e of
/// a score changes its weight by the factor 1 + e. Weights and their sum are rounded once per key. Values are
/// about 1, the largest of them below 6. In pairs of bfloat16, each weight is off by at most 2^-14 of itself
/// before it is rounded by at most 2^-9, and so is the sum of them all.
testing::Tolerance ToleranceFor(const Shape& shape) {
  const double score_error = static_cast<double>(shape.head_dim) * 0x1p-24 * 8;
  const double sum_error = static_cast<double>(shape.tokens) * 0x1p-24;
  const double weight_error = shape.format == KvFormat::kBrainPairs ? 0x1p-9 + 0x1p-14 : 0.0;
  return {.absolute = 6 * (2 * score_error + 2 * sum_error + 2 * weight_error)};
}

class AttentionTest : public ::testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& kernels_ = *GetParam();
  std::mt19937 random_{23};
};

TEST_P(AttentionTest, MatchesTheReferenceForManyShapes) {
  for (const Shape& shape : std::vector<Shape>{
           {},
           {.heads = 1},
           {.heads = 8, .head_dim = 128, .format = KvFormat::kFloat32},
           {.heads = 2, .head_dim = 80, .tokens = 65},
           {.heads = 5, .head_dim = 17, .format = KvFormat::kFloat32, .tokens = 40},
           {.heads = 1, .head_dim = 1, .format = KvFormat::kFloat32},
           {.heads = 2, .head_dim = 200, .block_tokens = 64, .tokens = 70},
           {.heads = 2, .head_dim = 40, .block_tokens = 16, .format = KvFormat::kFloat32, .tokens = 50},
           {.heads = 7, .head_dim = 6, .tokens = 90},
           {.heads = 1, .head_dim = 256, .tokens = 33},
           {.heads = 4, .head_dim = 96, .block_tokens = 96, .tokens = 130},
           {.heads = 4, .head_dim = 96, .block_tokens = 48, .format = KvFormat::kFloat32, .tokens = 130},
           {.heads = 64, .head_dim = 32, .tokens = 20},
           {.heads = 3, .window = 1, .tokens = 70},
           {.heads = 3, .window = 33, .tokens = 150},
           {.heads = 3, .format = KvFormat::kFloat32, .window = 64, .tokens = 200},
           {.heads = 8, .sinks = true},
           {.heads = 8, .format = KvFormat::kFloat32, .sinks = true},
           {.heads = 64, .head_dim = 32, .tokens = 20, .sinks = true},
           {.heads = 3, .window = 33, .tokens = 150, .sinks = true},
           {.heads = 16, .head_dim = 192, .value_dim = 128},
           {.heads = 2, .head_dim = 24, .format = KvFormat::kFloat32, .value_dim = 17},
           {.heads = 1, .head_dim = 48, .format = KvFormat::kFloat32, .tokens = 70, .value_dim = 130},
           {.heads = 5, .head_dim = 6, .value_dim = 70, .sinks = true}}) {
    const Sequence sequence(random_, shape);
    EXPECT_TRUE(AllClose(sequence.Attend(kernels_, 0, shape.tokens),
                         sequence.Attend(ReferenceKernels(), 0, shape.tokens), ToleranceFor(shape)))
        << "heads " << shape.heads << ", head_dim " << shape.head_dim << ", window " << shape.window;
  }
}

/// Not the reference's own arithmetic: a key whose score is the sink's and whose value is zero does the same.
TEST_P(AttentionTest, ASinkIsAKeyWithoutAValue) {
  for (const KvFormat format : {KvFormat::kFloat32, KvFormat::kBrainPairs, KvFormat::kInt8}) {
    Shape shape{.heads = 1, .head_dim = 16, .format = format, .tokens = 71};
    Sequence sequence(random_, shape);
    shape.sinks = true;
    Sequence sunk(random_, shape);
    for (Sequence* each : {&sequence, &sunk}) {
      for (int64_t i = 0; i < 16; ++i) each->query(70, i) = 1.0f;
      for (int64_t position = 0; position < 71; ++position) {
        each->SetKey(position, static_cast<float>(position % 3));  // Scores are 16 / 8 times that.
        each->SetValue(position, 1.0f);
      }
    }
    sequence.SetKey(0, 2.0f);
    sequence.SetValue(0, 0.0f);
    sunk.SetSink(0, 4.0f);
    sunk.SetKey(0, -1e4f);  // Weighs nothing.
    EXPECT_TRUE(AllClose(sunk.Attend(kernels_, 70, 1), sequence.Attend(kernels_, 70, 1),
                         {.absolute = format == KvFormat::kFloat32 ? 71 * 0x1p-23 : 0x1p-7}));
  }
}

TEST_P(AttentionTest, SinksOfAnySize) {
  for (const KvFormat format : {KvFormat::kFloat32, KvFormat::kBrainPairs, KvFormat::kInt8}) {
    const Shape shape{.heads = 20, .format = format, .tokens = 70, .sinks = true};
    Sequence sequence(random_, shape);
    for (const auto& [sink, all] :
         {std::pair(-HUGE_VALF, false), std::pair(-1e30f, false), std::pair(1e30f, true)}) {
      for (int64_t head = 0; head < 20; ++head) sequence.SetSink(head, sink);
      const std::vector<float> got = sequence.Attend(kernels_, 60, 3);
      for (const float x : got) ASSERT_TRUE(std::isfinite(x));
      // Nothing is left beside a very large one, and a very small one takes nothing.
      if (all) EXPECT_EQ(got, std::vector<float>(got.size(), 0.0f));
    }
    sequence.SetSink(4, std::nanf(""));
    const std::vector<float> got = sequence.Attend(kernels_, 60, 1);
    for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(std::isnan(got[i]), i / 64 == 4) << i;
  }
}

TEST_P(AttentionTest, ARowDoesNotDependOnTheRowsBesideIt) {
  for (const int64_t window : {0, 40}) {
    const Shape shape{.heads = 3, .head_dim = 72, .window = window, .tokens = 131, .sinks = window > 0};
    const Sequence sequence(random_, shape);
    const int64_t width = shape.heads * shape.head_dim;
    const std::vector<float> all = sequence.Attend(kernels_, 0, shape.tokens);
    for (const int64_t rows : {1, 2, 16, 37}) {
      for (int64_t first = 0; first + rows <= shape.tokens; first += rows) {
        const std::vector<float> part = sequence.Attend(kernels_, first, rows);
        ASSERT_EQ(std::memcmp(part.data(), all.data() + first * width, part.size() * sizeof(float)), 0)
            << rows << " rows from " << first;
      }
    }
  }
}

TEST_P(AttentionTest, LaterPositionsAreNeverRead) {
  for (const KvFormat format : {KvFormat::kFloat32, KvFormat::kBrainPairs, KvFormat::kInt8}) {
    for (const int64_t first : {40, 41}) {
      const Shape shape{.format = format, .tokens = 96};
      Sequence sequence(random_, shape);
      const std::vector<float> wanted = sequence.Attend(kernels_, first, 5);
      for (int64_t position = first + 5; position < 96; ++position) {
        sequence.SetKey(position, std::nanf(""));
        sequence.SetValue(position, std::nanf(""));
      }
      EXPECT_EQ(sequence.Attend(kernels_, first, 5), wanted);
    }
  }
}

TEST_P(AttentionTest, PositionsBeforeTheWindowAreNeverRead) {
  for (const KvFormat format : {KvFormat::kFloat32, KvFormat::kBrainPairs, KvFormat::kInt8}) {
    for (const int64_t window : {20, 21}) {
      const Shape shape{.format = format, .window = window, .tokens = 96};
      Sequence sequence(random_, shape);
      const std::vector<float> wanted = sequence.Attend(kernels_, 80, 3);
      for (int64_t position = 0; position <= 80 - window; ++position) {
        sequence.SetValue(position, std::nanf(""));
      }
      EXPECT_EQ(sequence.Attend(kernels_, 80, 3), wanted);
    }
  }
}

TEST_P(AttentionTest, LargeScoresDoNotOverflow) {
  const Shape shape{.format = KvFormat::kFloat32, .tokens = 70};
  Sequence sequence(random_, shape, 30.0f);
  const std::vector<float> got = sequence.Attend(kernels_, 69, 1);
  for (const float x : got) EXPECT_TRUE(std::isfinite(x));
  // Rounding of scores of about 30 * 30 * 8 moves weights by that many units; where one key dominates, it
  // stays.
  EXPECT_TRUE(AllClose(got, sequence.Attend(ReferenceKernels(), 69, 1),
                       {.absolute = 150 * 64 * 7200 * 0x1p-24 * 0.1}));
}

TEST_P(AttentionTest, NonFiniteInputs) {
  for (const KvFormat format : {KvFormat::kFloat32, KvFormat::kBrainPairs, KvFormat::kInt8}) {
    const Shape shape{.heads = 2, .head_dim = 64, .format = format, .tokens = 80};
    Sequence sequence(random_, shape);
    sequence.SetKey(10, std::nanf(""));
    for (const float x : sequence.Attend(kernels_, 9, 1)) EXPECT_TRUE(std::isfinite(x));
    for (const float x : sequence.Attend(kernels_, 70, 1)) EXPECT_TRUE(std::isnan(x));
    Sequence values(random_, shape);
    values.SetValue(50, HUGE_VALF);
    for (const float x : values.Attend(kernels_, 79, 1)) {
      // One scale for a value's numbers: when one of them is none, none is.
      EXPECT_TRUE(format == KvFormat::kInt8 ? std::isnan(x) : x == HUGE_VALF) << x;
    }
    for (const float x : values.Attend(kernels_, 49, 1)) EXPECT_TRUE(std::isfinite(x));
  }
}

TEST_P(AttentionTest, ScoresOfMinusInfinityWeighNothing) {
  // The first 40 keys, more than a whole tile, score minus infinity; the others' values are all 2.
  const Shape shape{.heads = 1, .head_dim = 16, .format = KvFormat::kFloat32, .tokens = 64};
  Sequence sequence(random_, shape);
  for (int64_t i = 0; i < 16; ++i) sequence.query(63, i) = 1e30f;
  for (int64_t position = 0; position < 64; ++position) {
    sequence.SetKey(position, position < 40 ? -1e30f : 0.0f);
    sequence.SetValue(position, position < 40 ? 5.0f : 2.0f);
  }
  EXPECT_TRUE(
      AllClose(sequence.Attend(kernels_, 63, 1), std::vector<float>(16, 2.0f), {.absolute = 64 * 0x1p-23}));
}

/// Shapes that 8-bit keys and values can have.
std::vector<Shape> Int8Shapes() {
  std::vector<Shape> shapes{{},
                            {.heads = 1},
                            {.heads = 9, .tokens = 130},
                            {.heads = 8, .head_dim = 128},
                            {.heads = 2, .head_dim = 80, .tokens = 65},
                            {.heads = 2, .head_dim = 200, .block_tokens = 64, .tokens = 70},
                            {.heads = 7, .head_dim = 4, .tokens = 90},
                            {.heads = 1, .head_dim = 256, .tokens = 33},
                            {.heads = 4, .head_dim = 96, .block_tokens = 96, .tokens = 130},
                            {.heads = 64, .head_dim = 32, .tokens = 20},
                            {.heads = 3, .window = 1, .tokens = 70},
                            {.heads = 3, .window = 33, .tokens = 150},
                            {.heads = 3, .window = 64, .tokens = 200},
                            {.heads = 3, .tokens = 1000},
                            {.heads = 3, .sinks = true},
                            {.heads = 20, .window = 33, .tokens = 150, .sinks = true},
                            {.heads = 16, .head_dim = 192, .value_dim = 128},
                            {.heads = 2, .head_dim = 24, .tokens = 70, .value_dim = 84, .sinks = true}};
  for (Shape& shape : shapes) shape.format = KvFormat::kInt8;
  return shapes;
}

TEST_P(AttentionTest, Int8GivesTheBitsOfTheReference) {
  for (const float width : {1.0f, 8.0f, 1e-3f}) {
    for (const Shape& shape : Int8Shapes()) {
      const Sequence sequence(random_, shape, width);
      EXPECT_EQ(sequence.Attend(kernels_, 0, shape.tokens),
                sequence.Attend(ReferenceKernels(), 0, shape.tokens))
          << "heads " << shape.heads << ", head_dim " << shape.head_dim << ", window " << shape.window;
    }
  }
}

TEST_P(AttentionTest, Int8KeepsToTheBitsOfARowWhateverSharesItsTile) {
  for (const Shape& shape : Int8Shapes()) {
    const Sequence sequence(random_, shape);
    const std::vector<float> together = sequence.Attend(kernels_, 0, shape.tokens);
    const int64_t width = shape.heads * shape.value_dim;
    for (int64_t row = 0; row < shape.tokens; row += 1 + shape.tokens / 30) {
      const std::vector<float> alone = sequence.Attend(kernels_, row, 1);
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + row * width)) << row;
    }
  }
}

TEST_P(AttentionTest, Int8ZerosAndExtremesAreExact) {
  // A value of zeros has the scale 0 and must still take its share of the weights.
  const Shape shape{.heads = 1, .head_dim = 16, .format = KvFormat::kInt8, .tokens = 64};
  Sequence sequence(random_, shape);
  for (int64_t position = 0; position < 64; ++position) {
    sequence.SetKey(position, 0.0f);
    sequence.SetValue(position, position % 2 == 0 ? 0.0f : 127e30f);
  }
  for (const float x : sequence.Attend(kernels_, 63, 1)) EXPECT_FLOAT_EQ(x, 63.5e30f);
}

TEST_P(AttentionTest, LongContexts) {
  const Shape shape{.heads = 3, .head_dim = 64, .tokens = 9000};
  const Sequence sequence(random_, shape);
  EXPECT_TRUE(AllClose(sequence.Attend(kernels_, 8998, 2), sequence.Attend(ReferenceKernels(), 8998, 2),
                       ToleranceFor(shape)));
}

INSTANTIATE_TEST_SUITE_P(Sets, AttentionTest, ::testing::ValuesIn(AvailableKernels()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace conclave::engine
