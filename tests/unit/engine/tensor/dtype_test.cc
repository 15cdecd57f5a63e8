#include "engine/tensor/dtype.h"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "engine/tensor/half.h"

namespace conclave::engine {
namespace {

constexpr uint16_t kHalfOne = 0x3C00;
constexpr uint16_t kHalfTwo = 0x4000;
constexpr uint16_t kHalfMinusHalf = 0xB800;

/// A block of zeros with a half written at some offsets.
std::vector<uint8_t> Block(DType dtype, std::initializer_list<std::pair<size_t, uint16_t>> halves) {
  std::vector<uint8_t> block(static_cast<size_t>(InfoOf(dtype).block_bytes), 0);
  for (const auto& [at, half] : halves) std::memcpy(block.data() + at, &half, sizeof half);
  return block;
}

std::vector<float> Decode(DType dtype, const std::vector<uint8_t>& block) {
  std::vector<float> out(static_cast<size_t>(InfoOf(dtype).block_elements), NAN);
  DequantiseRow(dtype, reinterpret_cast<const std::byte*>(block.data()), InfoOf(dtype).block_elements,
                out.data());
  return out;
}

TEST(DTypeTest, RowBytesCountsWholeBlocks) {
  EXPECT_EQ(RowBytes(DType::kF32, 3), 12);
  EXPECT_EQ(RowBytes(DType::kQ4_1, 576), 18 * 20);
  EXPECT_EQ(RowBytes(DType::kQ6_K, 512), 420);
  EXPECT_EQ(RowBytes(DType::kQ4_0, 0), 0);
  EXPECT_EQ(RowBytes(DType::kQ4_0, 33), std::nullopt);
  EXPECT_EQ(RowBytes(DType::kQ4_K, 128), std::nullopt);
  EXPECT_EQ(RowBytes(DType::kF16, -2), std::nullopt);
  EXPECT_EQ(RowBytes(DType::kF32, std::numeric_limits<int64_t>::max()), std::nullopt);
}

TEST(DTypeTest, OnlyBlockFormatsAreQuantised) {
  for (const DType plain : {DType::kF32, DType::kF16, DType::kBF16}) EXPECT_FALSE(IsQuantised(plain));
  for (int i = static_cast<int>(DType::kQ4_0); i < kDTypeCount; ++i) {
    EXPECT_TRUE(IsQuantised(static_cast<DType>(i)));
  }
}

TEST(HalfTest, EveryHalfHasItsExactValue) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const int exponent = (half >> 10) & 31;
    const double mantissa = half & 1023;
    const double sign = (half & 0x8000) != 0 ? -1.0 : 1.0;
    const float value = HalfToFloat(half);
    if (exponent == 31) {
      EXPECT_TRUE(mantissa == 0 ? std::isinf(value) : std::isnan(value)) << bits;
    } else {
      const double expected =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024.0 + mantissa, exponent - 25);
      EXPECT_EQ(static_cast<double>(value), sign * expected) << bits;
    }
    EXPECT_EQ(std::signbit(value), sign < 0) << bits;
  }
}

TEST(DequantiseTest, PlainFloats) {
  const std::array<uint16_t, 3> halves = {kHalfOne, kHalfTwo, kHalfMinusHalf};
  std::array<float, 3> out{};
  DequantiseRow(DType::kF16, reinterpret_cast<const std::byte*>(halves.data()), 3, out.data());
  EXPECT_EQ(out, (std::array<float, 3>{1.0f, 2.0f, -0.5f}));
  const std::array<uint16_t, 3> brains = {0x3F80, 0xC000, 0x0001};
  DequantiseRow(DType::kBF16, reinterpret_cast<const std::byte*>(brains.data()), 3, out.data());
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], -2.0f);
  EXPECT_EQ(out[2], std::ldexp(1.0f, -133));
}

TEST(DequantiseTest, FourBitHalvesOfABlock) {
  auto block = Block(DType::kQ4_0, {{0, kHalfTwo}});
  block[2] = 0x9F;  // Number 0 is 15, number 16 is 9.
  auto out = Decode(DType::kQ4_0, block);
  EXPECT_EQ(out[0], 14.0f);
  EXPECT_EQ(out[16], 2.0f);
  EXPECT_EQ(out[1], -16.0f);

  block = Block(DType::kQ4_1, {{0, kHalfTwo}, {2, kHalfMinusHalf}});
  block[4 + 15] = 0x31;  // Number 15 is 1, number 31 is 3.
  out = Decode(DType::kQ4_1, block);
  EXPECT_EQ(out[15], 1.5f);
  EXPECT_EQ(out[31], 5.5f);
  EXPECT_EQ(out[0], -0.5f);
}

TEST(DequantiseTest, FifthBitsOfABlock) {
  auto block = Block(DType::kQ5_0, {{0, kHalfOne}});
  block[2 + 3] = 0x80;  // The fifth bit of number 31.
  block[6 + 15] = 0x20;
  const auto out = Decode(DType::kQ5_0, block);
  EXPECT_EQ(out[31], 2.0f);
  EXPECT_EQ(out[30], -16.0f);
}

TEST(DequantiseTest, SuperBlockScalesAndMinimums) {
  auto block = Block(DType::kQ4_K, {{0, kHalfOne}, {2, kHalfTwo}});
  // Group 7: scale 0b110101 and minimum 0b011010; low four bits share byte 15, high two bits lie in bytes 7
  // and 11.
  block[4 + 11] = 0xA5;
  block[4 + 3] = 0xC0;
  block[4 + 7] = 0x40;
  block[16 + 3 * 32 + 31] = 0x30;  // The group's last number is 3.
  const auto out = Decode(DType::kQ4_K, block);
  EXPECT_EQ(out[255], 53.0f * 3.0f - 2.0f * 26.0f);
  EXPECT_EQ(out[0], 0.0f);
}

TEST(DequantiseTest, SixBitsAndSignedScales) {
  auto block = Block(DType::kQ6_K, {{208, kHalfOne}});
  block[192 + 15] = 0xFE;  // The last sixteen numbers have the scale -2.
  block[64 + 63] = 0x70;   // Low bits of number 255 (and 0 for number 191).
  block[128 + 63] = 0x80;  // Its high bits are 2.
  const auto out = Decode(DType::kQ6_K, block);
  EXPECT_EQ(out[255], -2.0f * (0x27 - 32));
  EXPECT_EQ(out[254], -2.0f * -32);
}

/// What the four bits say: a sign, two exponent bits of bias 1 and one mantissa bit, subnormal below 1.
double Fp4(int code) {
  const int exponent = (code >> 1) & 3;
  const int mantissa = code & 1;
  const double size = exponent == 0 ? 0.5 * mantissa : std::ldexp(1.0 + 0.5 * mantissa, exponent - 1);
  return (code & 8) != 0 ? -size : size;
}

TEST(DequantiseTest, MxFp4IsAPowerOfTwoTimesSmallFloats) {
  auto block = Block(DType::kMXFP4, {});
  for (int i = 0; i < 16; ++i) block[1 + i] = static_cast<uint8_t>(i | (15 - i) << 4);
  for (int exponent = 0; exponent < 255; ++exponent) {
    block[0] = static_cast<uint8_t>(exponent);
    const std::vector<float> out = Decode(DType::kMXFP4, block);
    for (int i = 0; i < 16; ++i) {
      // The largest are beyond float32, and infinite in both.
      EXPECT_EQ(out[i], static_cast<float>(std::ldexp(Fp4(i), exponent - 127))) << exponent << " " << i;
      EXPECT_EQ(out[i + 16], static_cast<float>(std::ldexp(Fp4(15 - i), exponent - 127)));
    }
  }
  block[0] = 255;
  for (const float x : Decode(DType::kMXFP4, block)) EXPECT_TRUE(std::isnan(x));
}

TEST(DequantiseTest, RowsOfSeveralBlocks) {
  auto first = Block(DType::kQ8_0, {{0, kHalfOne}});
  auto second = Block(DType::kQ8_0, {{0, kHalfTwo}});
  first[2] = 0x80;
  second[2 + 31] = 0x7F;
  first.insert(first.end(), second.begin(), second.end());
  std::array<float, 64> out{};
  DequantiseRow(DType::kQ8_0, reinterpret_cast<const std::byte*>(first.data()), 64, out.data());
  EXPECT_EQ(out[0], -128.0f);
  EXPECT_EQ(out[63], 254.0f);
}

}  // namespace
}  // namespace conclave::engine
