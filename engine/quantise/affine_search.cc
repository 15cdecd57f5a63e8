#include "engine/quantise/affine_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "engine/quantise/number_rounding.h"

namespace conclave::engine {
namespace {

constexpr int64_t kLanes = 8;
constexpr int kMostRefits = 12;
/// How many steps the ranges of the grid cut off at either end; negative ones add some.
constexpr float kCuts[] = {-0.5f, -0.2f, 0.1f, 0.5f, 1.0f, 1.6f, 2.4f};

/// The sums from which a weighted line x = scale * q + offset is fitted.
struct LineSums {
  float w = 0.0f, wx = 0.0f, wxx = 0.0f;    ///< of the numbers
  float wq = 0.0f, wqq = 0.0f, wqx = 0.0f;  ///< of the codes
};

LineSums SumNumbers(const float* x, const float* weights, int64_t count) {
  LineSums sums;
  for (int64_t i = 0; i < count; ++i) {
    sums.w += weights[i];
    sums.wx += weights[i] * x[i];
    sums.wxx += weights[i] * x[i] * x[i];
  }
  return sums;
}

void SumCodes(const float* x, const float* weights, int64_t count, int highest, float scale, float offset,
              LineSums& sums) {
  const float inverse = SafeInverse(scale);
  const auto top = static_cast<float>(highest);
  float wq[kLanes] = {};
  float wqq[kLanes] = {};
  float wqx[kLanes] = {};
  for (int64_t i = 0; i < count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const float q = RoundWithin((x[i + lane] - offset) * inverse, 0.0f, top);
      const float product = weights[i + lane] * q;
      wq[lane] += product;
      wqq[lane] += product * q;
      wqx[lane] += product * x[i + lane];
    }
  }
  sums.wq = sums.wqq = sums.wqx = 0.0f;
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    sums.wq += wq[lane];
    sums.wqq += wqq[lane];
    sums.wqx += wqx[lane];
  }
}

/// The least-squares line, with the error that is left; nothing when the codes do not determine it.
std::optional<AffineFit> FitLine(const LineSums& s, OffsetSign sign) {
  const float determinant = s.w * s.wqq - s.wq * s.wq;
  if (!(determinant > 1e-6f * s.w * s.wqq)) return std::nullopt;
  AffineFit fit{.scale = (s.w * s.wqx - s.wx * s.wq) / determinant,
                .offset = (s.wqq * s.wx - s.wq * s.wqx) / determinant};
  if (sign == OffsetSign::kNotPositive && fit.offset > 0.0f) {
    fit.offset = 0.0f;
    fit.scale = s.wqx / s.wqq;
  }
  if (!(fit.scale > 0.0f)) return std::nullopt;
  fit.error = s.wxx - fit.scale * s.wqx - fit.offset * s.wx;
  return fit;
}

/// The fit of numbers that are all the same, or nearly.
AffineFit ConstantFit(const float* x, const float* weights, int64_t count, int highest, float value,
                      OffsetSign sign) {
  AffineFit fit{.scale = 0.0f, .offset = value};
  if (sign == OffsetSign::kNotPositive && value > 0.0f) {
    fit = {.scale = value / static_cast<float>(highest), .offset = 0.0f};
  }
  fit.error = AffineError(x, weights, count, highest, fit.scale, fit.offset);
  return fit;
}

/// The fitted line of the best range of the grid; nothing when no range gives one.
std::optional<AffineFit> BestOfGrid(const float* x, const float* weights, int64_t count, int highest,
                                    float lowest_number, float highest_number, OffsetSign sign) {
  LineSums sums = SumNumbers(x, weights, count);
  const float step = (highest_number - lowest_number) / static_cast<float>(highest);
  std::optional<AffineFit> best;
  for (const float low_cut : kCuts) {
    for (const float high_cut : kCuts) {
      const float low = lowest_number + low_cut * step;
      const float high = highest_number - high_cut * step;
      const float offset = sign == OffsetSign::kNotPositive ? std::min(low, 0.0f) : low;
      SumCodes(x, weights, count, highest, (high - offset) / static_cast<float>(highest), offset, sums);
      const auto fit = FitLine(sums, sign);
      if (fit && (!best || fit->error < best->error)) best = fit;
    }
  }
  return best;
}

}  // namespace

float AffineError(const float* x, const float* weights, int64_t count, int highest, float scale,
                  float offset) {
  const float inverse = SafeInverse(scale);
  const auto top = static_cast<float>(highest);
  float error[kLanes] = {};
  for (int64_t i = 0; i < count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const float q = RoundWithin((x[i + lane] - offset) * inverse, 0.0f, top);
      const float off = x[i + lane] - (scale * q + offset);
      error[lane] += weights[i + lane] * off * off;
    }
  }
  float sum = 0.0f;
  for (const float lane : error) sum += lane;
  return sum;
}

AffineFit FindAffine(const float* x, const float* weights, int64_t count, int highest, OffsetSign sign) {
  const auto [least, most] = std::minmax_element(x, x + count);
  AffineFit fit = ConstantFit(x, weights, count, highest, *most, sign);
  if (*least == *most) return fit;
  const float low = sign == OffsetSign::kNotPositive ? std::min(*least, 0.0f) : *least;
  std::optional<AffineFit> next = BestOfGrid(x, weights, count, highest, low, std::max(*most, low), sign);
  LineSums sums = SumNumbers(x, weights, count);
  for (int refit = 0; refit < kMostRefits && next; ++refit) {
    const float error = AffineError(x, weights, count, highest, next->scale, next->offset);
    if (!(error < fit.error)) break;
    fit = {next->scale, next->offset, error};
    SumCodes(x, weights, count, highest, fit.scale, fit.offset, sums);
    next = FitLine(sums, sign);
  }
  return fit;
}

AffineFit FindHalfAffine(const float* x, const float* weights, int64_t count, int highest,
                         const AffineFit& fit) {
  const auto last = static_cast<int>(ToFiniteHalf(kLargestHalf));
  const float sign = fit.offset < 0.0f ? -1.0f : 1.0f;
  const auto nearest_scale = static_cast<int>(ToFiniteHalf(fit.scale));
  const auto nearest_offset = static_cast<int>(ToFiniteHalf(std::fabs(fit.offset)));
  AffineFit best{.error = std::numeric_limits<float>::infinity()};
  for (int scale_bits = std::max(0, nearest_scale - 1); scale_bits <= std::min(last, nearest_scale + 1);
       ++scale_bits) {
    for (int offset_bits = std::max(0, nearest_offset - 1); offset_bits <= std::min(last, nearest_offset + 1);
         ++offset_bits) {
      const float scale = HalfToFloat(static_cast<uint16_t>(scale_bits));
      const float offset = sign * HalfToFloat(static_cast<uint16_t>(offset_bits));
      const float error = AffineError(x, weights, count, highest, scale, offset);
      if (error < best.error) best = {scale, offset, error};
    }
  }
  return best;
}

void RoundToAffineCodes(const float* x, int64_t count, int highest, float scale, float offset,
                        int8_t* codes) {
  const float inverse = SafeInverse(scale);
  for (int64_t i = 0; i < count; ++i) {
    codes[i] = static_cast<int8_t>(RoundWithin((x[i] - offset) * inverse, 0.0f, static_cast<float>(highest)));
  }
}

}  // namespace conclave::engine
