#include <cmath>
#include <limits>

#include "engine/kernels/half_rounding.h"
#include "engine/kernels/reference/reference.h"

namespace conclave::engine::reference {
namespace {

void Rotate(float& a, float& b, float cosine, float sine) {
  const double x = a;
  const double y = b;
  a = static_cast<float>(x * cosine - y * sine);
  b = static_cast<float>(x * sine + y * cosine);
}

}  // namespace

void RmsNorm(const float* x, const float* weight, float epsilon, int64_t n, float* out) {
  double squares = 0.0;
  for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const double factor = 1.0 / std::sqrt(squares / static_cast<double>(n) + epsilon);
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(x[i] * factor * weight[i]);
}

void RopeHalves(float* x, int64_t heads, int64_t head_dim, int64_t dims, const float* cos_sin) {
  const int64_t half = dims / 2;
  for (int64_t head = 0; head < heads; ++head) {
    float* at = x + head * head_dim;
    for (int64_t i = 0; i < half; ++i) Rotate(at[i], at[i + half], cos_sin[i], cos_sin[half + i]);
  }
}

void RopeInterleaved(float* x, int64_t heads, int64_t head_dim, int64_t dims, const float* cos_sin) {
  const int64_t half = dims / 2;
  for (int64_t head = 0; head < heads; ++head) {
    float* at = x + head * head_dim;
    for (int64_t i = 0; i < half; ++i) Rotate(at[2 * i], at[2 * i + 1], cos_sin[i], cos_sin[half + i]);
  }
}

void SwiGlu(const float* gate, const float* up, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    const double g = gate[i];
    out[i] = static_cast<float>(g / (1.0 + std::exp(-g)) * up[i]);
  }
}

void SwiGluClamped(const float* gate, const float* up, float alpha, float limit, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    // Comparisons that keep a NaN.
    const double g = gate[i] > limit ? limit : gate[i];
    const double u = up[i] > limit ? limit : up[i] < -limit ? -limit : up[i];
    out[i] = static_cast<float>(g / (1.0 + std::exp(-g * alpha)) * (u + 1.0));
  }
}

void Exp(const float* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(std::exp(static_cast<double>(x[i])));
}

void Add(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] += y[i];
}

void ToBrain(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = FloatToBrain(x[i]);
}

float QuantiseHead(const float* x, int64_t n, int8_t* q) {
  float largest = 0.0f;
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) {
    largest = std::fmax(largest, std::fabs(x[i]));
    finite = finite && std::isfinite(x[i]);
  }
  const float scale = largest / 127.0f;
  const bool usable = finite && std::isnormal(scale);
  const float inverse = usable ? 1.0f / scale : 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    q[i] = usable ? static_cast<int8_t>(std::nearbyint(x[i] * inverse)) : int8_t{0};
  }
  return !finite ? std::numeric_limits<float>::quiet_NaN() : usable ? scale : 0.0f;
}

}  // namespace conclave::engine::reference
