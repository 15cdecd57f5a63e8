#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "engine/quantise/block_quantisers.h"
#include "engine/quantise/code_layout.h"
#include "engine/quantise/number_rounding.h"
#include "engine/quantise/scale_search.h"

namespace conclave::engine {
namespace {

constexpr int kGroups = 16;
constexpr int64_t kGroup = 16;
constexpr int kMostRounds = 6;
constexpr int kLowestScale = -128;
constexpr int kHighestScale = 127;
constexpr int64_t kScalesAt = 192;
constexpr int64_t kSharedScaleAt = 208;

/// What a block stores beside its codes; `errors` are those of the best codes for it.
struct SuperBlock {
  float scale = 0.0f;  ///< a half precision number
  std::array<int8_t, kGroups> groups{};
  std::array<float, kGroups> errors{};

  float Step(int group) const { return scale * static_cast<float>(groups[group]); }
  float Error() const {
    float sum = 0.0f;
    for (const float error : errors) sum += error;
    return sum;
  }
};

struct Source {
  const float* x;
  const float* weights;
  CodeRange range;

  float Error(int group, float step) const {
    return ScaleError(x + group * kGroup, weights + group * kGroup, kGroup, range, step);
  }
};

/// Moves one group's scale to the best at most two steps away.
void ImproveGroup(const Source& source, int group, SuperBlock& block) {
  const int centre = block.groups[group];
  block.errors[group] = source.Error(group, block.Step(group));
  for (int s = std::max(kLowestScale, centre - 2); s <= std::min(kHighestScale, centre + 2); ++s) {
    const float error = source.Error(group, block.scale * static_cast<float>(s));
    if (!(error < block.errors[group])) continue;
    block.errors[group] = error;
    block.groups[group] = static_cast<int8_t>(s);
  }
}

/// The block whose groups come nearest to their own fits, with the given shared scale.
SuperBlock FromFits(const Source& source, const std::array<ScaleFit, kGroups>& fits, float scale) {
  SuperBlock block{.scale = ScaleThroughHalf(scale)};
  const float inverse = SafeInverse(block.scale);
  for (int group = 0; group < kGroups; ++group) {
    block.groups[group] = static_cast<int8_t>(RoundWithin(
        fits[group].scale * inverse, static_cast<float>(kLowestScale), static_cast<float>(kHighestScale)));
    ImproveGroup(source, group, block);
  }
  return block;
}

/// The shared scale that fits the block's codes and group scales best, by least squares.
SuperBlock WithRefittedScale(const Source& source, SuperBlock block) {
  double aa = 0.0, ax = 0.0;
  for (int group = 0; group < kGroups; ++group) {
    int8_t codes[kGroup];
    RoundToCodes(source.x + group * kGroup, kGroup, source.range, block.Step(group), codes);
    for (int64_t i = 0; i < kGroup; ++i) {
      const double w = source.weights[group * kGroup + i];
      const double a = block.groups[group] * codes[i];
      aa += w * a * a;
      ax += w * a * source.x[group * kGroup + i];
    }
  }
  if (aa > 0.0) block.scale = ScaleThroughHalf(static_cast<float>(ax / aa));
  for (int group = 0; group < kGroups; ++group) ImproveGroup(source, group, block);
  return block;
}

SuperBlock Search(const Source& source) {
  std::array<ScaleFit, kGroups> fits;
  float largest = 0.0f;
  for (int group = 0; group < kGroups; ++group) {
    fits[group] = FindScale(source.x + group * kGroup, source.weights + group * kGroup, kGroup, source.range);
    if (std::fabs(fits[group].scale) > std::fabs(largest)) largest = fits[group].scale;
  }
  // The largest group scale becomes -128: one step more than 127.
  SuperBlock block = FromFits(source, fits, largest / static_cast<float>(kLowestScale));
  for (int round = 0; round < kMostRounds; ++round) {
    const SuperBlock next = WithRefittedScale(source, block);
    if (!(next.Error() < block.Error())) break;
    block = next;
  }
  return block;
}

}  // namespace

void QuantiseScaledSuperBlock(const float* x, const float* weights, std::byte* out) {
  const Source source{x, weights, CodeRangeOf(DType::kQ6_K)};
  const SuperBlock block = Search(source);
  int8_t codes[kGroups * kGroup];
  for (int group = 0; group < kGroups; ++group) {
    RoundToCodes(x + group * kGroup, kGroup, source.range, block.Step(group), codes + group * kGroup);
  }
  WriteCodes(DType::kQ6_K, codes, out);
  std::memcpy(out + kScalesAt, block.groups.data(), kGroups);
  const uint16_t half = ToFiniteHalf(block.scale);
  std::memcpy(out + kSharedScaleAt, &half, sizeof half);
}

}  // namespace conclave::engine
