#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "engine/quantise/affine_search.h"
#include "engine/quantise/block_quantisers.h"
#include "engine/quantise/code_layout.h"
#include "engine/quantise/k_scales.h"
#include "engine/quantise/number_rounding.h"

namespace conclave::engine {
namespace {

constexpr int64_t kGroup = 32;
constexpr int kMostRounds = 6;

/// What a block stores beside its codes; `error` is that of the best codes for it.
struct SuperBlock {
  float scale = 0.0f;          ///< a half precision number
  float minimum_scale = 0.0f;  ///< the same
  KScales groups;
  std::array<float, kKGroups> errors{};

  float Step(int group) const { return scale * static_cast<float>(groups.scale[group]); }
  float Offset(int group) const { return -(minimum_scale * static_cast<float>(groups.minimum[group])); }
  float Error() const {
    float sum = 0.0f;
    for (const float error : errors) sum += error;
    return sum;
  }
};

/// The numbers of a block and how to round them.
struct Source {
  const float* x;
  const float* weights;
  int highest;

  float Error(int group, float step, float offset) const {
    return AffineError(x + group * kGroup, weights + group * kGroup, kGroup, highest, step, offset);
  }
};

uint8_t NearestScale(float value, float unit) {
  const float units = value * SafeInverse(unit);
  return static_cast<uint8_t>(std::lround(std::clamp(units, 0.0f, static_cast<float>(kKLargestScale))));
}

/// Moves one group's scale and minimum to the best pair at most one step away.
void ImproveGroup(const Source& source, int group, SuperBlock& block) {
  const int scale = block.groups.scale[group];
  const int minimum = block.groups.minimum[group];
  block.errors[group] = source.Error(group, block.Step(group), block.Offset(group));
  for (int s = std::max(0, scale - 1); s <= std::min(kKLargestScale, scale + 1); ++s) {
    for (int m = std::max(0, minimum - 1); m <= std::min(kKLargestScale, minimum + 1); ++m) {
      const float error = source.Error(group, block.scale * static_cast<float>(s),
                                       -(block.minimum_scale * static_cast<float>(m)));
      if (!(error < block.errors[group])) continue;
      block.errors[group] = error;
      block.groups.scale[group] = static_cast<uint8_t>(s);
      block.groups.minimum[group] = static_cast<uint8_t>(m);
    }
  }
}

/// The block whose groups come nearest to their own fits, with the given shared scales.
SuperBlock FromFits(const Source& source, const std::array<AffineFit, kKGroups>& fits, float scale,
                    float minimum_scale) {
  SuperBlock block{.scale = ScaleThroughHalf(scale), .minimum_scale = ScaleThroughHalf(minimum_scale)};
  for (int group = 0; group < kKGroups; ++group) {
    block.groups.scale[group] = NearestScale(fits[group].scale, block.scale);
    block.groups.minimum[group] = NearestScale(-fits[group].offset, block.minimum_scale);
    ImproveGroup(source, group, block);
  }
  return block;
}

/// The shared scales that fit the block's codes and group scales best, by least squares:
/// x = scale * (group scale * code) - minimum_scale * group minimum.
SuperBlock WithRefittedScales(const Source& source, SuperBlock block) {
  double aa = 0.0, ab = 0.0, bb = 0.0, ax = 0.0, bx = 0.0;
  for (int group = 0; group < kKGroups; ++group) {
    int8_t codes[kGroup];
    RoundToAffineCodes(source.x + group * kGroup, kGroup, source.highest, block.Step(group),
                       block.Offset(group), codes);
    for (int64_t i = 0; i < kGroup; ++i) {
      const double w = source.weights[group * kGroup + i];
      const double x = source.x[group * kGroup + i];
      const double a = block.groups.scale[group] * codes[i];
      const double b = -static_cast<double>(block.groups.minimum[group]);
      aa += w * a * a;
      ab += w * a * b;
      bb += w * b * b;
      ax += w * a * x;
      bx += w * b * x;
    }
  }
  const double determinant = aa * bb - ab * ab;
  if (determinant > 1e-9 * aa * bb) {
    block.scale = static_cast<float>((bb * ax - ab * bx) / determinant);
    block.minimum_scale = static_cast<float>((aa * bx - ab * ax) / determinant);
  } else if (aa > 0.0) {
    block.scale = static_cast<float>((ax - ab * block.minimum_scale) / aa);
  }
  block.scale = ScaleThroughHalf(std::max(block.scale, 0.0f));
  block.minimum_scale = ScaleThroughHalf(std::max(block.minimum_scale, 0.0f));
  for (int group = 0; group < kKGroups; ++group) ImproveGroup(source, group, block);
  return block;
}

SuperBlock Improved(const Source& source, SuperBlock block) {
  for (int round = 0; round < kMostRounds; ++round) {
    const SuperBlock next = WithRefittedScales(source, block);
    if (!(next.Error() < block.Error())) break;
    block = next;
  }
  return block;
}

SuperBlock Search(const Source& source) {
  std::array<AffineFit, kKGroups> fits;
  float largest_scale = 0.0f;
  float largest_minimum = 0.0f;
  for (int group = 0; group < kKGroups; ++group) {
    fits[group] = FindAffine(source.x + group * kGroup, source.weights + group * kGroup, kGroup,
                             source.highest, OffsetSign::kNotPositive);
    largest_scale = std::max(largest_scale, fits[group].scale);
    largest_minimum = std::max(largest_minimum, -fits[group].offset);
  }
  constexpr auto kTop = static_cast<float>(kKLargestScale);
  return Improved(source, FromFits(source, fits, largest_scale / kTop, largest_minimum / kTop));
}

void StoreHalf(float value, std::byte* out) {
  const uint16_t half = ToFiniteHalf(value);
  std::memcpy(out, &half, sizeof half);
}

}  // namespace

void QuantiseMinimumSuperBlock(DType dtype, const float* x, const float* weights, std::byte* out) {
  const Source source{x, weights, CodeRangeOf(dtype).highest};
  const SuperBlock block = Search(source);
  int8_t codes[kKGroups * kGroup];
  for (int group = 0; group < kKGroups; ++group) {
    RoundToAffineCodes(x + group * kGroup, kGroup, source.highest, block.Step(group), block.Offset(group),
                       codes + group * kGroup);
  }
  StoreHalf(block.scale, out);
  StoreHalf(block.minimum_scale, out + 2);
  PackKScales(block.groups, reinterpret_cast<uint8_t*>(out + 4));
  WriteCodes(dtype, codes, out);
}

}  // namespace conclave::engine
