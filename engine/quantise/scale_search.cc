#include "engine/quantise/scale_search.h"

#include <algorithm>
#include <cmath>

#include "engine/quantise/number_rounding.h"

namespace conclave::engine {
namespace {

/// Sums are kept in this many lanes, so that they can be vectorised without changing their order.
constexpr int64_t kLanes = 8;
constexpr int kMostRefits = 12;

/// Where the grid ends: the code, as a share of the range's, to which the largest number is mapped.
constexpr float kGridBegin = 0.55f;
constexpr float kGridEnd = 1.18f;

/// Sums over the codes that an inverse scale gives: weighted code * x and code * code.
struct CodeSums {
  float wqx = 0.0f;
  float wqq = 0.0f;
};

CodeSums SumCodes(const float* x, const float* weights, int64_t count, CodeRange range, float inverse) {
  const auto lowest = static_cast<float>(range.lowest);
  const auto highest = static_cast<float>(range.highest);
  float wqx[kLanes] = {};
  float wqq[kLanes] = {};
  for (int64_t i = 0; i < count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const float q = RoundWithin(x[i + lane] * inverse, lowest, highest);
      const float wq = weights[i + lane] * q;
      wqx[lane] += wq * x[i + lane];
      wqq[lane] += wq * q;
    }
  }
  CodeSums sums;
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    sums.wqx += wqx[lane];
    sums.wqq += wqq[lane];
  }
  return sums;
}

/// How much of the weighted sum of squares the least-squares scale for these codes explains.
float Explained(const CodeSums& sums) { return sums.wqq > 0.0f ? sums.wqx * sums.wqx / sums.wqq : 0.0f; }

float LargestMagnitude(const float* x, int64_t count) {
  float largest = 0.0f;
  for (int64_t i = 0; i < count; ++i) {
    if (std::fabs(x[i]) > std::fabs(largest)) largest = x[i];
  }
  return largest;
}

/// Steps between the codes of the grid, in codes: finer where a step moves few numbers.
float GridStep(int magnitude) { return magnitude <= 8 ? 0.125f : magnitude <= 32 ? 0.25f : 1.0f; }

/// The least-squares scale of the best point of the grid.
float BestOfGrid(const float* x, const float* weights, int64_t count, CodeRange range, float largest) {
  const int magnitude = std::max(-range.lowest, range.highest);
  const auto top = static_cast<float>(magnitude);
  const bool both_signs = range.lowest != -range.highest;
  float best = 0.0f;
  float scale = 0.0f;
  for (float code = kGridBegin * top; code <= kGridEnd * top; code += GridStep(magnitude)) {
    for (const float signed_code : {code, -code}) {
      if (signed_code < 0.0f && !both_signs) continue;
      const CodeSums sums = SumCodes(x, weights, count, range, signed_code * SafeInverse(largest));
      if (!(Explained(sums) > best)) continue;
      best = Explained(sums);
      scale = sums.wqx / sums.wqq;
    }
  }
  return scale;
}

}  // namespace

float ScaleError(const float* x, const float* weights, int64_t count, CodeRange range, float scale) {
  const float inverse = SafeInverse(scale);
  const auto lowest = static_cast<float>(range.lowest);
  const auto highest = static_cast<float>(range.highest);
  float error[kLanes] = {};
  for (int64_t i = 0; i < count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const float q = RoundWithin(x[i + lane] * inverse, lowest, highest);
      const float off = x[i + lane] - scale * q;
      error[lane] += weights[i + lane] * off * off;
    }
  }
  float sum = 0.0f;
  for (const float lane : error) sum += lane;
  return sum;
}

ScaleFit FindScale(const float* x, const float* weights, int64_t count, CodeRange range) {
  const float largest = LargestMagnitude(x, count);
  ScaleFit fit{.scale = 0.0f, .error = ScaleError(x, weights, count, range, 0.0f)};
  if (largest == 0.0f) return fit;
  float scale = BestOfGrid(x, weights, count, range, largest);
  for (int refit = 0; refit < kMostRefits && scale != 0.0f; ++refit) {
    const float error = ScaleError(x, weights, count, range, scale);
    if (!(error < fit.error)) break;
    fit = {scale, error};
    const CodeSums sums = SumCodes(x, weights, count, range, SafeInverse(scale));
    scale = sums.wqq > 0.0f ? sums.wqx / sums.wqq : 0.0f;
  }
  return fit;
}

ScaleFit FindHalfScale(const float* x, const float* weights, int64_t count, CodeRange range, ScaleFit fit) {
  const float sign = fit.scale < 0.0f ? -1.0f : 1.0f;
  const auto nearest = static_cast<int>(ToFiniteHalf(std::fabs(fit.scale)));
  const auto last = static_cast<int>(ToFiniteHalf(kLargestHalf));
  ScaleFit best{.scale = 0.0f, .error = ScaleError(x, weights, count, range, 0.0f)};
  for (int bits = std::max(1, nearest - 1); bits <= std::min(last, nearest + 1); ++bits) {
    const float scale = sign * HalfToFloat(static_cast<uint16_t>(bits));
    const float error = ScaleError(x, weights, count, range, scale);
    if (error < best.error) best = {scale, error};
  }
  return best;
}

void RoundToCodes(const float* x, int64_t count, CodeRange range, float scale, int8_t* codes) {
  const float inverse = SafeInverse(scale);
  for (int64_t i = 0; i < count; ++i) {
    codes[i] = static_cast<int8_t>(
        RoundWithin(x[i] * inverse, static_cast<float>(range.lowest), static_cast<float>(range.highest)));
  }
}

}  // namespace conclave::engine
