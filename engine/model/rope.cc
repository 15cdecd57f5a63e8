#include "engine/model/rope.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "engine/model/limits.h"

namespace conclave::engine {
namespace {

using Kind = RopeScaling::Kind;

/// theta^(2i / dims), rounded to float32 after the division and after the power.
std::vector<float> Wavelengths(const Architecture& a) {
  std::vector<float> out(static_cast<size_t>(a.rope_dims / 2));
  for (size_t i = 0; i < out.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(a.rope_dims);
    out[i] = static_cast<float>(std::pow(a.rope_theta, static_cast<double>(exponent)));
  }
  return out;
}

std::vector<float> Plain(const Architecture& a) {
  std::vector<float> out = Wavelengths(a);
  for (float& value : out) value = 1.0f / value;
  return out;
}

std::vector<float> Linear(const Architecture& a) {
  std::vector<float> out = Plain(a);
  for (float& value : out) value /= static_cast<float>(a.rope_scaling.factor);
  return out;
}

/// The (fractional) pair whose wave turns `rotations` times in the original context: arXiv 2309.00071,
/// section 3.2.
double CorrectionDimension(const Architecture& a, double rotations) {
  const auto context = static_cast<double>(a.rope_scaling.original_context);
  return static_cast<double>(a.rope_dims) * std::log(context / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(a.rope_theta));
}

std::vector<float> Yarn(const Architecture& a) {
  const RopeScaling& s = a.rope_scaling;
  double low = CorrectionDimension(a, s.beta_fast);
  double high = CorrectionDimension(a, s.beta_slow);
  if (s.truncate_range) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(a.rope_dims - 1));
  if (low == high) high += 0.001;
  const auto start = static_cast<float>(low);
  const auto width = static_cast<float>(high - low);
  std::vector<float> out = Wavelengths(a);
  for (size_t i = 0; i < out.size(); ++i) {
    const float ramp = std::clamp((static_cast<float>(i) - start) / width, 0.0f, 1.0f);
    const float extrapolated_share = 1.0f - ramp;
    const float extrapolated = 1.0f / out[i];
    const float interpolated = 1.0f / (static_cast<float>(s.factor) * out[i]);
    out[i] = interpolated * (1.0f - extrapolated_share) + extrapolated * extrapolated_share;
  }
  return out;
}

/// Llama 3.1: long waves are stretched, short ones are not, those between are blended.
std::vector<float> Llama3(const Architecture& a) {
  const RopeScaling& s = a.rope_scaling;
  const auto context = static_cast<float>(s.original_context);
  const auto low = static_cast<float>(s.low_frequency_factor);
  const auto high = static_cast<float>(s.high_frequency_factor);
  const auto factor = static_cast<float>(s.factor);
  const auto longest = static_cast<float>(static_cast<double>(s.original_context) / s.low_frequency_factor);
  const auto shortest = static_cast<float>(static_cast<double>(s.original_context) / s.high_frequency_factor);
  std::vector<float> out = Plain(a);
  for (float& value : out) {
    const float wave = static_cast<float>(2.0 * std::numbers::pi) / value;
    if (wave > longest) {
      value /= factor;
    } else if (!(wave < shortest)) {
      const float smooth = (context / wave - low) / (high - low);
      value = (1.0f - smooth) * value / factor + smooth * value;
    }
  }
  return out;
}

std::vector<float> LongRope(const Architecture& a) {
  const RopeScaling& s = a.rope_scaling;
  const std::vector<float>& factors = a.context > s.original_context ? s.long_factors : s.short_factors;
  std::vector<float> out = Wavelengths(a);
  for (size_t i = 0; i < out.size(); ++i) out[i] = 1.0f / (factors[i] * out[i]);
  return out;
}

std::vector<float> InverseFrequencies(const Architecture& a) {
  switch (a.rope_scaling.kind) {
    case Kind::kNone:
    case Kind::kDynamicNtk: return Plain(a);
    case Kind::kLinear: return Linear(a);
    case Kind::kYarn: return Yarn(a);
    case Kind::kLlama3: return Llama3(a);
    case Kind::kLongRope: return LongRope(a);
  }
  return Plain(a);
}

double AttentionFactor(const RopeScaling& s) {
  const bool scales_attention = s.kind == Kind::kYarn || s.kind == Kind::kLongRope;
  if (!scales_attention) return 1.0;
  if (s.attention_factor > 0.0) return s.attention_factor;
  if (s.kind == Kind::kYarn) return YarnAttentionFactor(s.factor, 1.0);
  if (s.factor <= 1.0) return 1.0;
  return std::sqrt(1.0 + std::log(s.factor) / std::log(static_cast<double>(s.original_context)));
}

}  // namespace

double YarnAttentionFactor(double factor, double weight) {
  return factor <= 1.0 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
}

RopeTable::RopeTable(const Architecture& architecture)
    : dims_(architecture.rope_dims),
      inverse_frequencies_(InverseFrequencies(architecture)),
      attention_factor_(AttentionFactor(architecture.rope_scaling)) {
  if (dims_ == 0) return;
  const int64_t row_bytes = dims_ * static_cast<int64_t>(sizeof(float));
  table_positions_ = std::min(architecture.context, kMaxRopeTableBytes / row_bytes);
  table_.resize(static_cast<size_t>(table_positions_ * dims_));
  for (int64_t position = 0; position < table_positions_; ++position) {
    Compute(position, table_.data() + position * dims_);
  }
}

void RopeTable::CosSin(int64_t position, float* cos_sin) const {
  if (position < table_positions_) {
    std::memcpy(cos_sin, table_.data() + position * dims_, static_cast<size_t>(dims_) * sizeof(float));
  } else {
    Compute(position, cos_sin);
  }
}

void RopeTable::Compute(int64_t position, float* cos_sin) const {
  const int64_t pairs = dims_ / 2;
  const auto factor = static_cast<float>(attention_factor_);
  for (int64_t i = 0; i < pairs; ++i) {
    const float angle = inverse_frequencies_[static_cast<size_t>(i)] * static_cast<float>(position);
    cos_sin[i] = static_cast<float>(std::cos(static_cast<double>(angle))) * factor;
    cos_sin[pairs + i] = static_cast<float>(std::sin(static_cast<double>(angle))) * factor;
  }
}

}  // namespace conclave::engine
