#include "engine/quantise/code_layout.h"

#include <cstdint>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "engine/quantise/k_scales.h"
#include "tests/unit/engine/quantise/formats.h"

namespace conclave::engine {
namespace {

TEST(CodeLayoutTest, CodesComeBackAndDecodeAsTheFormatSays) {
  std::mt19937 random(5);
  for (const DType dtype : testing::kBlockFormats) {
    const DTypeInfo& info = InfoOf(dtype);
    const CodeRange range = CodeRangeOf(dtype);
    std::uniform_int_distribution<int> any(range.lowest, range.highest);
    std::vector<std::byte> block(info.block_bytes);
    std::vector<int8_t> codes(info.block_elements), read(info.block_elements);
    testing::SetUnitScales(dtype, block.data());
    for (int8_t& code : codes) code = static_cast<int8_t>(any(random));
    WriteCodes(dtype, codes.data(), block.data());
    ReadCodes(dtype, block.data(), read.data());
    EXPECT_EQ(read, codes) << info.name;
    std::vector<float> decoded(info.block_elements);
    DequantiseRow(dtype, block.data(), info.block_elements, decoded.data());
    for (int64_t i = 0; i < info.block_elements; ++i) {
      ASSERT_EQ(decoded[i], static_cast<float>(codes[i])) << info.name << " " << i;
    }
    std::vector<float> steps(info.block_elements / ScaleGroupOf(dtype));
    ReadSteps(dtype, block.data(), steps.data());
    EXPECT_EQ(steps, std::vector<float>(steps.size(), 1.0f)) << info.name;
  }
}

TEST(CodeLayoutTest, SixBitScalesComeBack) {
  std::mt19937 random(6);
  for (int round = 0; round < 100; ++round) {
    KScales scales;
    for (int group = 0; group < kKGroups; ++group) {
      scales.scale[group] = static_cast<uint8_t>(random() % 64);
      scales.minimum[group] = static_cast<uint8_t>(random() % 64);
    }
    uint8_t packed[12];
    PackKScales(scales, packed);
    const KScales back = UnpackKScales(packed);
    EXPECT_EQ(back.scale, scales.scale);
    EXPECT_EQ(back.minimum, scales.minimum);
  }
}

}  // namespace
}  // namespace conclave::engine
