#include "engine/quantise/code_layout.h"

#include <cstring>

#include "engine/quantise/k_scales.h"
#include "engine/tensor/half.h"

namespace conclave::engine {
namespace {

constexpr int kHalfBlock = 16;
constexpr int kBlock = 32;
constexpr int kSuperBlock = 256;

float LoadHalf(const uint8_t* bytes) {
  uint16_t half;
  std::memcpy(&half, bytes, sizeof half);
  return HalfToFloat(half);
}

/// Blocks of 32: byte i of `nibbles` has the low bits of number i below and of number i + 16 above; bit i of
/// `high_bits` is the fifth bit of number i. `bias` makes codes positive.
void WriteNibbles(const int8_t* codes, int bias, uint8_t* nibbles, uint8_t* high_bits) {
  uint32_t high = 0;
  for (int i = 0; i < kHalfBlock; ++i) {
    const int first = codes[i] + bias;
    const int second = codes[i + kHalfBlock] + bias;
    nibbles[i] = static_cast<uint8_t>((first & 0x0F) | (second & 0x0F) << 4);
    high |= static_cast<uint32_t>(first >> 4) << i | static_cast<uint32_t>(second >> 4) << (i + kHalfBlock);
  }
  if (high_bits != nullptr) std::memcpy(high_bits, &high, sizeof high);
}

void ReadNibbles(const uint8_t* nibbles, const uint8_t* high_bits, int bias, int8_t* codes) {
  uint32_t high = 0;
  if (high_bits != nullptr) std::memcpy(&high, high_bits, sizeof high);
  for (int i = 0; i < kBlock; ++i) {
    const int low = i < kHalfBlock ? nibbles[i] & 0x0F : nibbles[i - kHalfBlock] >> 4;
    codes[i] = static_cast<int8_t>((low | static_cast<int>(high >> i & 1) << 4) - bias);
  }
}

/// Blocks of 256 in eight groups of 32; two groups share 32 bytes of nibbles, and bit g of byte i of
/// `high_bits` is the fifth bit of number i of group g.
void WriteGroups(const int8_t* codes, uint8_t* nibbles, uint8_t* high_bits) {
  for (int i = 0; i < kBlock; ++i) {
    uint8_t high = 0;
    for (int group = 0; group < kKGroups; group += 2) {
      const int first = codes[group * kBlock + i];
      const int second = codes[(group + 1) * kBlock + i];
      nibbles[group / 2 * kBlock + i] = static_cast<uint8_t>((first & 0x0F) | (second & 0x0F) << 4);
      high = static_cast<uint8_t>(high | (first >> 4) << group | (second >> 4) << (group + 1));
    }
    if (high_bits != nullptr) high_bits[i] = high;
  }
}

void ReadGroups(const uint8_t* nibbles, const uint8_t* high_bits, int8_t* codes) {
  for (int at = 0; at < kSuperBlock; ++at) {
    const int group = at / kBlock;
    const int i = at % kBlock;
    const uint8_t byte = nibbles[group / 2 * kBlock + i];
    const int high = high_bits == nullptr ? 0 : (high_bits[i] >> group & 1) << 4;
    codes[at] = static_cast<int8_t>((group % 2 == 0 ? byte & 0x0F : byte >> 4) | high);
  }
}

/// Q6_K: two halves of 128; number `lane` of run r (of four runs of 32) has its low four bits in byte
/// (r % 2) * 32 + lane of 64, and its high two in byte `lane` of 32, at bit 2 * r.
constexpr int kSixBitBias = 32;

void WriteSixBits(const int8_t* codes, uint8_t* block) {
  for (int half = 0; half < 2; ++half) {
    uint8_t* low = block + half * 64;
    uint8_t* high = block + 128 + half * 32;
    for (int lane = 0; lane < kBlock; ++lane) {
      int q[4];
      for (int run = 0; run < 4; ++run) q[run] = codes[half * 128 + run * kBlock + lane] + kSixBitBias;
      low[lane] = static_cast<uint8_t>((q[0] & 0x0F) | (q[2] & 0x0F) << 4);
      low[kBlock + lane] = static_cast<uint8_t>((q[1] & 0x0F) | (q[3] & 0x0F) << 4);
      high[lane] = static_cast<uint8_t>(q[0] >> 4 | (q[1] >> 4) << 2 | (q[2] >> 4) << 4 | (q[3] >> 4) << 6);
    }
  }
}

void ReadSixBits(const uint8_t* block, int8_t* codes) {
  for (int at = 0; at < kSuperBlock; ++at) {
    const int half = at / 128;
    const int run = at / kBlock % 4;
    const int lane = at % kBlock;
    const uint8_t low = block[half * 64 + (run % 2) * kBlock + lane];
    const int high = block[128 + half * 32 + lane] >> (2 * run) & 3;
    codes[at] = static_cast<int8_t>(((run < 2 ? low & 0x0F : low >> 4) | high << 4) - kSixBitBias);
  }
}

}  // namespace

CodeRange CodeRangeOf(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0: return {-8, 7};
    case DType::kQ4_1:
    case DType::kQ4_K: return {0, 15};
    case DType::kQ5_0: return {-16, 15};
    case DType::kQ5_1:
    case DType::kQ5_K: return {0, 31};
    case DType::kQ6_K: return {-32, 31};
    case DType::kQ8_0: return {-127, 127};
    default: return {};
  }
}

int64_t ScaleGroupOf(DType dtype) { return dtype == DType::kQ6_K ? 16 : 32; }

void WriteCodes(DType dtype, const int8_t* codes, std::byte* block) {
  auto* bytes = reinterpret_cast<uint8_t*>(block);
  switch (dtype) {
    case DType::kQ4_0: return WriteNibbles(codes, 8, bytes + 2, nullptr);
    case DType::kQ4_1: return WriteNibbles(codes, 0, bytes + 4, nullptr);
    case DType::kQ5_0: return WriteNibbles(codes, 16, bytes + 6, bytes + 2);
    case DType::kQ5_1: return WriteNibbles(codes, 0, bytes + 8, bytes + 4);
    case DType::kQ8_0: std::memcpy(bytes + 2, codes, kBlock); return;
    case DType::kQ4_K: return WriteGroups(codes, bytes + 16, nullptr);
    case DType::kQ5_K: return WriteGroups(codes, bytes + 48, bytes + 16);
    case DType::kQ6_K: return WriteSixBits(codes, bytes);
    default: return;
  }
}

void ReadCodes(DType dtype, const std::byte* block, int8_t* codes) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(block);
  switch (dtype) {
    case DType::kQ4_0: return ReadNibbles(bytes + 2, nullptr, 8, codes);
    case DType::kQ4_1: return ReadNibbles(bytes + 4, nullptr, 0, codes);
    case DType::kQ5_0: return ReadNibbles(bytes + 6, bytes + 2, 16, codes);
    case DType::kQ5_1: return ReadNibbles(bytes + 8, bytes + 4, 0, codes);
    case DType::kQ8_0: std::memcpy(codes, bytes + 2, kBlock); return;
    case DType::kQ4_K: return ReadGroups(bytes + 16, nullptr, codes);
    case DType::kQ5_K: return ReadGroups(bytes + 48, bytes + 16, codes);
    case DType::kQ6_K: return ReadSixBits(bytes, codes);
    default: return;
  }
}

void ReadSteps(DType dtype, const std::byte* block, float* steps) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(block);
  switch (dtype) {
    case DType::kQ4_K:
    case DType::kQ5_K: {
      const KScales scales = UnpackKScales(bytes + 4);
      for (int group = 0; group < kKGroups; ++group) {
        steps[group] = LoadHalf(bytes) * static_cast<float>(scales.scale[group]);
      }
      return;
    }
    case DType::kQ6_K:
      for (int group = 0; group < kSuperBlock / 16; ++group) {
        steps[group] = LoadHalf(bytes + 208) * static_cast<float>(static_cast<int8_t>(bytes[192 + group]));
      }
      return;
    default: steps[0] = LoadHalf(bytes);
  }
}

}  // namespace conclave::engine
