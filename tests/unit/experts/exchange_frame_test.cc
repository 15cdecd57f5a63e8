#include "services/experts/exchange_frame.h"

#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "services/experts/limits.h"

namespace conclave::experts {
namespace {

constexpr int64_t kHidden = 40;  // Two blocks, the second one short.
constexpr size_t kWireBlockBytes = 36;

v1::Tensor Blocks(uint32_t tokens, float scale, int8_t q) {
  v1::Tensor tensor;
  tensor.set_dtype(v1::TENSOR_DTYPE_Q8_BLOCK32);
  tensor.add_shape(tokens);
  tensor.add_shape(kHidden);
  for (uint32_t block = 0; block < tokens * 2; ++block) {
    tensor.mutable_data()->append(reinterpret_cast<const char*>(&scale), sizeof scale);
    tensor.mutable_data()->append(32, static_cast<char>(q));
  }
  return tensor;
}

v1::Tensor Floats(uint32_t tokens) {
  v1::Tensor tensor;
  tensor.set_dtype(v1::TENSOR_DTYPE_F32);
  tensor.add_shape(tokens);
  tensor.add_shape(kHidden);
  for (uint32_t i = 0; i < tokens * kHidden; ++i) {
    const auto value = static_cast<float>(i);
    tensor.mutable_data()->append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return tensor;
}

StatusCode Read(const v1::Tensor& tensor, bool quantised = true) {
  FrameInput frame;
  return ReadInput(tensor, kHidden, quantised, frame).code();
}

TEST(ExchangeFrameTest, ReadsBlocksAndTheirSums) {
  v1::Tensor tensor = Blocks(2, 0.5f, 3);
  (*tensor.mutable_data())[kWireBlockBytes + 4] = -127;  // Block 1 of token 0: its first number.
  FrameInput frame;
  ASSERT_TRUE(ReadInput(tensor, kHidden, true, frame).ok());
  EXPECT_EQ(frame.input.tokens, 2);
  EXPECT_EQ(frame.input.x8, &frame.blocks);
  EXPECT_EQ(frame.blocks.q[31], 3);
  EXPECT_EQ(frame.blocks.q[32], -127);
  EXPECT_EQ(frame.blocks.scales, engine::AlignedVector<float>(4, 0.5f));
  EXPECT_EQ(frame.blocks.sums[0], 0.5f * 96);
  EXPECT_EQ(frame.blocks.sums[1], 0.5f * (31 * 3 - 127));
  EXPECT_EQ(frame.blocks.half_sums[2], 15 * 3 - 127);
}

TEST(ExchangeFrameTest, ReadsFloats) {
  FrameInput frame;
  ASSERT_TRUE(ReadInput(Floats(3), kHidden, false, frame).ok());
  EXPECT_EQ(frame.input.tokens, 3);
  EXPECT_EQ(frame.input.x8, nullptr);
  EXPECT_EQ(frame.input.x[119], 119.0f);
}

TEST(ExchangeFrameTest, BuffersAreReusedForSmallerAndLargerFrames) {
  FrameInput frame;
  for (const uint32_t tokens : {5u, 1u, 9u}) {
    ASSERT_TRUE(ReadInput(Blocks(tokens, 1.0f, 1), kHidden, true, frame).ok());
    EXPECT_EQ(frame.input.tokens, tokens);
    EXPECT_EQ(frame.blocks.sums[tokens * 2 - 1], 32.0f);
  }
}

TEST(ExchangeFrameTest, RefusesNumbersThatTheKernelsDoNotTake) {
  EXPECT_EQ(Read(Blocks(1, 1.0f, -127)), StatusCode::kOk);
  EXPECT_EQ(Read(Blocks(1, 1.0f, 127)), StatusCode::kOk);
  EXPECT_EQ(Read(Blocks(1, 1.0f, -128)), StatusCode::kInvalidArgument);
  v1::Tensor last = Blocks(3, 1.0f, 0);
  last.mutable_data()->back() = static_cast<char>(-128);
  EXPECT_EQ(Read(last), StatusCode::kInvalidArgument);
  for (const float scale :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(Read(Blocks(2, scale, 1)), StatusCode::kInvalidArgument) << scale;
  }
}

TEST(ExchangeFrameTest, TakesTheNanThatTheKernelsMake) {
  FrameInput frame;
  ASSERT_TRUE(ReadInput(Blocks(1, std::numeric_limits<float>::quiet_NaN(), 0), kHidden, true, frame).ok());
  EXPECT_TRUE(std::isnan(frame.blocks.scales[1]));
  EXPECT_TRUE(std::isnan(frame.blocks.sums[1])) << "weights with an offset read the sum";
}

TEST(ExchangeFrameTest, RefusesTheOtherForm) {
  EXPECT_EQ(Read(Floats(1), true), StatusCode::kInvalidArgument);
  EXPECT_EQ(Read(Blocks(1, 1.0f, 1), false), StatusCode::kInvalidArgument);
  EXPECT_EQ(Read(v1::Tensor()), StatusCode::kInvalidArgument);
  v1::Tensor unknown = Blocks(1, 1.0f, 1);
  unknown.set_dtype(static_cast<v1::TensorDtype>(77));
  EXPECT_EQ(Read(unknown), StatusCode::kInvalidArgument);
}

TEST(ExchangeFrameTest, RefusesShapesThatDoNotFit) {
  for (const std::vector<uint32_t>& shape :
       {std::vector<uint32_t>{}, {1}, {1, kHidden, 1}, {1, kHidden + 1}, {0, kHidden}, {2, kHidden}}) {
    v1::Tensor tensor = Blocks(1, 1.0f, 1);
    tensor.mutable_shape()->Assign(shape.begin(), shape.end());
    EXPECT_EQ(Read(tensor), StatusCode::kInvalidArgument);
  }
  for (const uint32_t tokens : {static_cast<uint32_t>(kMostFrameTokens + 1), UINT32_MAX}) {
    v1::Tensor tensor = Blocks(1, 1.0f, 1);
    tensor.set_shape(0, tokens);
    EXPECT_EQ(Read(tensor), StatusCode::kInvalidArgument);
  }
}

TEST(ExchangeFrameTest, RefusesBytesThatAreTooFewOrTooMany) {
  for (const int change : {-1, 1}) {
    v1::Tensor blocks = Blocks(2, 1.0f, 1);
    blocks.mutable_data()->resize(blocks.data().size() + change);
    EXPECT_EQ(Read(blocks), StatusCode::kInvalidArgument);
    v1::Tensor floats = Floats(2);
    floats.mutable_data()->resize(floats.data().size() + change);
    EXPECT_EQ(Read(floats, false), StatusCode::kInvalidArgument);
  }
}

TEST(ExchangeFrameTest, TakesAsManyTokensAsItSays) {
  EXPECT_EQ(Read(Blocks(kMostFrameTokens, 1.0f, 1)), StatusCode::kOk);
}

}  // namespace
}  // namespace conclave::experts
