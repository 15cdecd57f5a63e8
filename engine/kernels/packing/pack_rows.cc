#include "engine/kernels/packing/pack_rows.h"

#include <array>
#include <cstring>

#include "engine/kernels/half_rounding.h"
#include "engine/kernels/packing/source_block.h"

namespace conclave::engine {
namespace {

/// Writes number `lane` of a run of 16 scales.
void StoreScale(const BlockFormat& format, float value, int64_t lane, std::byte* run) {
  if (format.float_scales) {
    std::memcpy(run + lane * 4, &value, 4);
  } else {
    // The source is a half, so this is exact.
    const uint16_t half = FloatToHalf(value);
    std::memcpy(run + lane * 2, &half, 2);
  }
}

/// Four numbers of one row lie side by side in the source and in the packed block: they move as one word.
void StoreBlock(const BlockFormat& format, const SourceBlock& block, int64_t lane, std::byte* out) {
  constexpr int64_t kWords = kActivationBlock / 4;
  constexpr int64_t kWordStride = kRowGroup * 4;
  std::array<uint32_t, kWords> words;
  std::memcpy(words.data(), block.q.data(), sizeof words);
  std::byte* at = out + lane * 4;
  if (format.nibbles) {
    for (int64_t i = 0; i < kWords; i += 2, at += kWordStride) {
      const uint32_t pair = words[i] | words[i + 1] << 4;  // each number has four bits
      std::memcpy(at, &pair, sizeof pair);
    }
  } else {
    for (int64_t i = 0; i < kWords; ++i, at += kWordStride) std::memcpy(at, &words[i], sizeof words[i]);
  }
  std::byte* scales = out + format.q_bytes();
  StoreScale(format, block.scales[0], lane, scales);
  if (format.half_groups) StoreScale(format, block.scales[1], lane, scales + format.scale_bytes());
  if (format.offsets) StoreScale(format, block.offset, lane, scales + format.scale_bytes());
}

template <typename Word>
void Interleave(const SourceRows& source, std::byte* out) {
  for (int64_t row = 0; row < source.rows; ++row) {
    const std::byte* from = source.first + row * source.stride;
    std::byte* group = out + row / kRowGroup * source.columns * kRowGroup * sizeof(Word);
    for (int64_t column = 0; column < source.columns; ++column) {
      std::memcpy(group + (column * kRowGroup + row % kRowGroup) * sizeof(Word), from + column * sizeof(Word),
                  sizeof(Word));
    }
  }
}

}  // namespace

void PackFloats(const SourceRows& source, std::byte* out) {
  if (source.dtype == DType::kF32) {
    Interleave<uint32_t>(source, out);
  } else {
    Interleave<uint16_t>(source, out);
  }
}

void PackBlocks(const SourceRows& source, const BlockFormat& format, std::byte* out) {
  const int64_t blocks = source.columns / kActivationBlock;
  for (int64_t row = 0; row < source.rows; ++row) {
    std::byte* group = out + row / kRowGroup * blocks * format.bytes();
    for (int64_t block = 0; block < blocks; ++block) {
      StoreBlock(format, ReadSourceBlock(source.dtype, source.first + row * source.stride, block),
                 row % kRowGroup, group + block * format.bytes());
    }
  }
}

}  // namespace conclave::engine
