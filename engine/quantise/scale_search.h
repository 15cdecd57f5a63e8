#pragma once

#include <cstdint>

#include "engine/quantise/code_layout.h"

namespace conclave::engine {

/// A scale and the error it leaves: sum of weights[i] * (x[i] - scale * code[i])^2 over the best codes for
/// it.
struct ScaleFit {
  float scale = 0.0f;
  float error = 0.0f;
};

/// The error of rounding `count` numbers to multiples of `scale` within `range`.
float ScaleError(const float* x, const float* weights, int64_t count, CodeRange range, float scale);

/// Searches the scale, positive or negative, that leaves the least error: a grid of scales that map the
/// largest number to each code near the end of the range, with the least-squares scale of the codes each
/// gives, and from the best one least squares and rounding in turns until the error falls no more. `count` is
/// a multiple of 8 up to 32; weights are positive, x finite.
ScaleFit FindScale(const float* x, const float* weights, int64_t count, CodeRange range);

/// The best of the half precision numbers beside `fit.scale`, given back exactly.
ScaleFit FindHalfScale(const float* x, const float* weights, int64_t count, CodeRange range, ScaleFit fit);

/// codes[i]: x[i] / scale rounded within `range`.
void RoundToCodes(const float* x, int64_t count, CodeRange range, float scale, int8_t* codes);

}  // namespace conclave::engine
