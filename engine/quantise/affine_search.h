#pragma once

#include <cstdint>

namespace conclave::engine {

/// A scale, an offset and the error they leave: sum of weights[i] * (x[i] - scale * code[i] - offset)^2 over
/// the best codes in [0, highest] for them.
struct AffineFit {
  float scale = 0.0f;
  float offset = 0.0f;
  float error = 0.0f;
};

/// Which offsets a format can store.
enum class OffsetSign : uint8_t { kAny, kNotPositive };

/// The error of rounding `count` numbers to scale * [0, highest] + offset.
float AffineError(const float* x, const float* weights, int64_t count, int highest, float scale,
                  float offset);

/// Searches the scale (at least 0) and the offset that leave the least error: a grid of ranges that cut off
/// or add some steps at either end, with the least-squares fit of the codes each gives, and from the best one
/// least squares and rounding in turns until the error falls no more. `count` is a multiple of 8; weights are
/// positive, x finite.
AffineFit FindAffine(const float* x, const float* weights, int64_t count, int highest, OffsetSign sign);

/// The best of the pairs of half precision numbers beside `fit`, given back exactly.
AffineFit FindHalfAffine(const float* x, const float* weights, int64_t count, int highest,
                         const AffineFit& fit);

/// codes[i]: (x[i] - offset) / scale rounded within [0, highest].
void RoundToAffineCodes(const float* x, int64_t count, int highest, float scale, float offset, int8_t* codes);

}  // namespace conclave::engine
