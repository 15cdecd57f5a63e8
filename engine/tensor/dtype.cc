#include "engine/tensor/dtype.h"

#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "engine/tensor/half.h"

namespace conclave::engine {
namespace {

static_assert(std::endian::native == std::endian::little,
              "stored tensors are little-endian and read in place");

constexpr std::array<DTypeInfo, kDTypeCount> kInfos = {{
    {"F32", 1, 4},
    {"F16", 1, 2},
    {"BF16", 1, 2},
    {"Q4_0", 32, 18},
    {"Q4_1", 32, 20},
    {"Q5_0", 32, 22},
    {"Q5_1", 32, 24},
    {"Q8_0", 32, 34},
    {"Q4_K", 256, 144},
    {"Q5_K", 256, 176},
    {"Q6_K", 256, 210},
    {"MXFP4", 32, 17},
}};

constexpr int kHalfBlock = 16;

template <typename T>
T Load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

float LoadHalf(const uint8_t* bytes) { return HalfToFloat(Load<uint16_t>(bytes)); }

// Blocks of 32: byte i holds number i in its low and number i + 16 in its high four bits.

void Q4_0(const uint8_t* block, float* out) {
  const float scale = LoadHalf(block);
  const uint8_t* nibbles = block + 2;
  for (int i = 0; i < kHalfBlock; ++i) {
    out[i] = scale * static_cast<float>((nibbles[i] & 0x0F) - 8);
    out[i + kHalfBlock] = scale * static_cast<float>((nibbles[i] >> 4) - 8);
  }
}

void Q4_1(const uint8_t* block, float* out) {
  const float scale = LoadHalf(block);
  const float offset = LoadHalf(block + 2);
  const uint8_t* nibbles = block + 4;
  for (int i = 0; i < kHalfBlock; ++i) {
    out[i] = scale * static_cast<float>(nibbles[i] & 0x0F) + offset;
    out[i + kHalfBlock] = scale * static_cast<float>(nibbles[i] >> 4) + offset;
  }
}

/// Number `i` of a five-bit block: its low bits from the nibbles, its fifth from `high_bits`.
int FiveBits(const uint8_t* nibbles, uint32_t high_bits, int i) {
  const int low = i < kHalfBlock ? nibbles[i] & 0x0F : nibbles[i - kHalfBlock] >> 4;
  return low | static_cast<int>((high_bits >> i) & 1) << 4;
}

void Q5_0(const uint8_t* block, float* out) {
  const float scale = LoadHalf(block);
  const auto high_bits = Load<uint32_t>(block + 2);
  for (int i = 0; i < 2 * kHalfBlock; ++i) {
    out[i] = scale * static_cast<float>(FiveBits(block + 6, high_bits, i) - 16);
  }
}

void Q5_1(const uint8_t* block, float* out) {
  const float scale = LoadHalf(block);
  const float offset = LoadHalf(block + 2);
  const auto high_bits = Load<uint32_t>(block + 4);
  for (int i = 0; i < 2 * kHalfBlock; ++i) {
    out[i] = scale * static_cast<float>(FiveBits(block + 8, high_bits, i)) + offset;
  }
}

void Q8_0(const uint8_t* block, float* out) {
  const float scale = LoadHalf(block);
  for (int i = 0; i < 2 * kHalfBlock; ++i) {
    out[i] = scale * static_cast<float>(static_cast<int8_t>(block[2 + i]));
  }
}

// Blocks of 256: eight groups of 32, each with a 6-bit scale and a 6-bit minimum packed into 12 bytes.

struct ScaleAndMinimum {
  int scale;
  int minimum;
};

ScaleAndMinimum UnpackScale(const uint8_t* packed, int group) {
  if (group < 4) return {packed[group] & 0x3F, packed[group + 4] & 0x3F};
  const uint8_t low = packed[group + 4];
  return {(low & 0x0F) | (packed[group - 4] >> 6) << 4, (low >> 4) | (packed[group] >> 6) << 4};
}

/// Q4_K, and Q5_K when `high_bits` is given: bit `group` of its byte i is the fifth of the group's number i.
void FourOrFiveBitGroups(const uint8_t* block, const uint8_t* high_bits, const uint8_t* nibbles, float* out) {
  const float scale = LoadHalf(block);
  const float minimum_scale = LoadHalf(block + 2);
  for (int group = 0; group < 8; ++group) {
    const ScaleAndMinimum packed = UnpackScale(block + 4, group);
    const float group_scale = scale * static_cast<float>(packed.scale);
    const float group_minimum = minimum_scale * static_cast<float>(packed.minimum);
    const uint8_t* bytes = nibbles + (group / 2) * 32;
    for (int i = 0; i < 32; ++i) {
      int q = group % 2 == 0 ? bytes[i] & 0x0F : bytes[i] >> 4;
      if (high_bits != nullptr) q |= ((high_bits[i] >> group) & 1) << 4;
      out[group * 32 + i] = group_scale * static_cast<float>(q) - group_minimum;
    }
  }
}

void Q4_K(const uint8_t* block, float* out) { FourOrFiveBitGroups(block, nullptr, block + 16, out); }
void Q5_K(const uint8_t* block, float* out) { FourOrFiveBitGroups(block, block + 16, block + 48, out); }

/// Two halves of 128 numbers; in each, four runs of 32 share 64 bytes of low bits and 32 bytes of high bits.
/// Every 16 numbers have an 8-bit scale.
void Q6_K(const uint8_t* block, float* out) {
  const float scale = LoadHalf(block + 208);
  for (int half = 0; half < 2; ++half) {
    const uint8_t* low = block + half * 64;
    const uint8_t* high = block + 128 + half * 32;
    const uint8_t* scales = block + 192 + half * 8;
    for (int i = 0; i < 128; ++i) {
      const int run = i / 32;
      const int lane = i % 32;
      const uint8_t byte = low[(run % 2) * 32 + lane];
      const int q = (run < 2 ? byte & 0x0F : byte >> 4) | ((high[lane] >> (2 * run)) & 3) << 4;
      const float group_scale = scale * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
      out[half * 128 + i] = group_scale * static_cast<float>(q - 32);
    }
  }
}

/// E2M1 numbers (OCP Microscaling Formats 1.0, section 5.3.3), doubled; zero has no sign here.
constexpr float kDoubledFp4[] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/// An E8M0 scale, then nibbles as in the other blocks of 32.
void MxFp4(const uint8_t* block, float* out) {
  const float scale = HalfOfE8M0(block[0]);
  const uint8_t* nibbles = block + 1;
  for (int i = 0; i < kHalfBlock; ++i) {
    out[i] = scale * kDoubledFp4[nibbles[i] & 0x0F];
    out[i + kHalfBlock] = scale * kDoubledFp4[nibbles[i] >> 4];
  }
}

using BlockDecoder = void (*)(const uint8_t* block, float* out);

void DecodeBlocks(DType dtype, BlockDecoder decode, const uint8_t* row, int64_t columns, float* out) {
  const DTypeInfo& info = InfoOf(dtype);
  for (int64_t at = 0; at < columns; at += info.block_elements, row += info.block_bytes)
    decode(row, out + at);
}

}  // namespace

const DTypeInfo& InfoOf(DType dtype) { return kInfos[static_cast<size_t>(dtype)]; }

bool IsQuantised(DType dtype) { return InfoOf(dtype).block_elements > 1; }

float HalfOfE8M0(uint8_t exponent) {
  if (exponent == 255) return std::numeric_limits<float>::quiet_NaN();
  // 2^-128 and 2^-127 are subnormal.
  const uint32_t bits = exponent < 2 ? 0x00200000u << exponent : static_cast<uint32_t>(exponent - 1) << 23;
  return std::bit_cast<float>(bits);
}

std::optional<int64_t> RowBytes(DType dtype, int64_t columns) {
  const DTypeInfo& info = InfoOf(dtype);
  if (columns < 0 || columns % info.block_elements != 0) return std::nullopt;
  const int64_t blocks = columns / info.block_elements;
  if (blocks > std::numeric_limits<int64_t>::max() / info.block_bytes) return std::nullopt;
  return blocks * info.block_bytes;
}

void DequantiseRow(DType dtype, const std::byte* row, int64_t columns, float* out) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(row);
  switch (dtype) {
    case DType::kF32: std::memcpy(out, bytes, static_cast<size_t>(columns) * sizeof(float)); return;
    case DType::kF16:
      for (int64_t i = 0; i < columns; ++i) out[i] = LoadHalf(bytes + 2 * i);
      return;
    case DType::kBF16:
      for (int64_t i = 0; i < columns; ++i) out[i] = BrainToFloat(Load<uint16_t>(bytes + 2 * i));
      return;
    case DType::kQ4_0: return DecodeBlocks(dtype, Q4_0, bytes, columns, out);
    case DType::kQ4_1: return DecodeBlocks(dtype, Q4_1, bytes, columns, out);
    case DType::kQ5_0: return DecodeBlocks(dtype, Q5_0, bytes, columns, out);
    case DType::kQ5_1: return DecodeBlocks(dtype, Q5_1, bytes, columns, out);
    case DType::kQ8_0: return DecodeBlocks(dtype, Q8_0, bytes, columns, out);
    case DType::kQ4_K: return DecodeBlocks(dtype, Q4_K, bytes, columns, out);
    case DType::kQ5_K: return DecodeBlocks(dtype, Q5_K, bytes, columns, out);
    case DType::kQ6_K: return DecodeBlocks(dtype, Q6_K, bytes, columns, out);
    case DType::kMXFP4: return DecodeBlocks(dtype, MxFp4, bytes, columns, out);
  }
}

}  // namespace conclave::engine
