#include "engine/kernels/packing/source_block.h"

#include <cstring>

#include "engine/tensor/half.h"

namespace conclave::engine {
namespace {

uint16_t Load16(const uint8_t* bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

uint32_t Load32(const uint8_t* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

float LoadHalf(const uint8_t* bytes) { return HalfToFloat(Load16(bytes)); }

/// Byte i holds number i in its low and number i + 16 in its high four bits.
void ReadNibbles(const uint8_t* nibbles, SourceBlock& out) {
  constexpr uint64_t kLow = 0x0F0F0F0F0F0F0F0F;
  for (int i = 0; i < 16; i += 8) {
    uint64_t eight;
    std::memcpy(&eight, nibbles + i, sizeof eight);
    const uint64_t low = eight & kLow;
    const uint64_t high = eight >> 4 & kLow;
    std::memcpy(out.q.data() + i, &low, sizeof low);
    std::memcpy(out.q.data() + i + 16, &high, sizeof high);
  }
}

/// Q4_0, Q4_1, Q5_0, Q5_1: scale, offset if any, fifth bits if any, nibbles.
SourceBlock ReadSmallBlock(const uint8_t* at, bool offset, bool fifth_bits) {
  SourceBlock out;
  out.scales.fill(LoadHalf(at));
  at += 2;
  if (offset) {
    out.offset = LoadHalf(at);
    at += 2;
  }
  if (!fifth_bits) {
    ReadNibbles(at, out);
    return out;
  }
  const uint32_t high = Load32(at);
  ReadNibbles(at + 4, out);
  for (int i = 0; i < 32; ++i) out.q[i] |= ((high >> i) & 1) << 4;
  return out;
}

SourceBlock ReadQ8(const uint8_t* at) {
  SourceBlock out;
  out.scales.fill(LoadHalf(at));
  for (int i = 0; i < 32; ++i) out.q[i] = at[2 + i] ^ 0x80;  // two's complement plus 128
  return out;
}

SourceBlock ReadMxFp4(const uint8_t* at) {
  SourceBlock out;
  out.scales.fill(HalfOfE8M0(at[0]));
  ReadNibbles(at + 1, out);
  return out;
}

/// Q4_K, Q5_K: group `group` of a block of eight; 6-bit scales and minimums lie in 12 bytes.
SourceBlock ReadGroup(const uint8_t* block, int group, bool fifth_bits) {
  const uint8_t* packed = block + 4;
  int scale = packed[group] & 0x3F;
  int minimum = packed[group + 4] & 0x3F;
  if (group >= 4) {
    scale = (packed[group + 4] & 0x0F) | (packed[group - 4] >> 6) << 4;
    minimum = (packed[group + 4] >> 4) | (packed[group] >> 6) << 4;
  }
  SourceBlock out;
  out.scales.fill(LoadHalf(block) * static_cast<float>(scale));
  out.offset = -(LoadHalf(block + 2) * static_cast<float>(minimum));
  const uint8_t* high = block + 16;
  const uint8_t* low = block + (fifth_bits ? 48 : 16) + (group / 2) * 32;
  for (int i = 0; i < 32; ++i) {
    out.q[i] = group % 2 == 0 ? low[i] & 0x0F : low[i] >> 4;
    if (fifth_bits) out.q[i] |= ((high[i] >> group) & 1) << 4;
  }
  return out;
}

/// Q6_K: run `run` of 32 in a block of eight runs.
SourceBlock ReadQ6K(const uint8_t* block, int run) {
  const int half = run / 4;
  const int quarter = run % 4;
  const uint8_t* low = block + half * 64 + (quarter % 2) * 32;
  const uint8_t* high = block + 128 + half * 32;
  const uint8_t* scales = block + 192 + run * 2;
  const float scale = LoadHalf(block + 208);
  SourceBlock out;
  for (int i = 0; i < 2; ++i) out.scales[i] = scale * static_cast<float>(static_cast<int8_t>(scales[i]));
  for (int i = 0; i < 32; ++i) {
    const int bits = quarter < 2 ? low[i] & 0x0F : low[i] >> 4;
    out.q[i] = static_cast<uint8_t>(bits | ((high[i] >> (2 * quarter)) & 3) << 4);
  }
  return out;
}

}  // namespace

BlockFormat BlockFormatOf(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0: return {.nibbles = true, .zero_point = 8};
    case DType::kQ4_1: return {.nibbles = true, .offsets = true};
    case DType::kQ4_K: return {.nibbles = true, .float_scales = true, .offsets = true};
    case DType::kQ5_0: return {.zero_point = 16};
    case DType::kQ5_1: return {.offsets = true};
    case DType::kQ5_K: return {.float_scales = true, .offsets = true};
    case DType::kQ6_K: return {.float_scales = true, .half_groups = true, .zero_point = 32};
    case DType::kQ8_0: return {.zero_point = 128};
    case DType::kMXFP4: return {.nibbles = true, .float_scales = true, .zero_point = 16, .lookup = true};
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16: break;
  }
  return {};
}

SourceBlock ReadSourceBlock(DType dtype, const std::byte* row, int64_t block) {
  const DTypeInfo& info = InfoOf(dtype);
  const int64_t parts = info.block_elements / kActivationBlock;
  const int part = static_cast<int>(block % parts);
  const auto* at = reinterpret_cast<const uint8_t*>(row) + block / parts * info.block_bytes;
  switch (dtype) {
    case DType::kQ4_0: return ReadSmallBlock(at, false, false);
    case DType::kQ4_1: return ReadSmallBlock(at, true, false);
    case DType::kQ5_0: return ReadSmallBlock(at, false, true);
    case DType::kQ5_1: return ReadSmallBlock(at, true, true);
    case DType::kQ8_0: return ReadQ8(at);
    case DType::kQ4_K: return ReadGroup(at, part, false);
    case DType::kQ5_K: return ReadGroup(at, part, true);
    case DType::kQ6_K: return ReadQ6K(at, part);
    case DType::kMXFP4: return ReadMxFp4(at);
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16: break;
  }
  return {};
}

}  // namespace conclave::engine
