#include "engine/model/expert_dispatch.h"

#include <algorithm>
#include <array>

namespace conclave::engine {
namespace {

/// Below this many numbers a meeting of the threads costs more than adding them.
constexpr int64_t kWorthSharing = 1 << 15;
/// Numbers whose sums are kept in registers at once.
constexpr int64_t kPart = 64;

}  // namespace

void ExpertDispatch::Plan(const LayerExperts& experts, int64_t tokens, const Routing* routing) {
  experts_ = experts;
  tokens_ = tokens;
  routing_ = routing;
  rows_ = 0;
  work_.clear();
  if (routing != nullptr) {
    const auto chosen = static_cast<int64_t>(routing->experts.size());
    first_rows_.assign(experts.routed + 1, 0);
    for (const int32_t expert : routing->experts) ++first_rows_[expert + 1];
    for (int64_t expert = 0; expert < experts.routed; ++expert)
      first_rows_[expert + 1] += first_rows_[expert];
    token_rows_.resize(chosen);
    output_rows_.resize(chosen);
    for (int64_t expert = 0; expert < experts.routed; ++expert) {
      const int64_t first = first_rows_[expert];
      const int64_t count = first_rows_[expert + 1] - first;
      if (count > 0) work_.push_back({.expert = expert, .tokens = count, .rows = token_rows_.data() + first});
    }
    for (int64_t i = 0; i < chosen; ++i) {  // Moves each expert's first row on to the next one's.
      const int64_t row = first_rows_[routing->experts[i]]++;
      token_rows_[row] = static_cast<int32_t>(i / routing->per_token);
      output_rows_[i] = row;
    }
    rows_ = chosen;
  }
  for (int64_t i = 0; i < experts.common; ++i) {
    work_.push_back({.expert = experts.routed + i, .tokens = tokens, .rows = nullptr});
    rows_ += tokens;
  }
}

void ExpertDispatch::AddToken(const float* outputs, int64_t token, int64_t begin, int64_t end, int64_t hidden,
                              float* residual) const {
  const int64_t per_token = routing_->per_token;
  const float* weights = routing_->weights.data() + token * per_token;
  const int64_t* rows = output_rows_.data() + token * per_token;
  const bool shared = experts_.common > 0;
  const float shared_weight = routing_->shared_weight.empty() ? 1.0f : routing_->shared_weight[token];
  const float* shared_output = outputs + (rows_ - tokens_ + token) * hidden;
  std::array<float, kPart> sums;
  const auto add = [&](float weight, const float* output, int64_t count) {
    for (int64_t i = 0; i < count; ++i) sums[i] += weight * output[i];
  };
  for (int64_t at = begin; at < end; at += kPart) {
    const int64_t count = std::min(kPart, end - at);
    sums.fill(0.0f);
    for (int64_t k = 0; k < per_token; ++k) add(weights[k], outputs + rows[k] * hidden + at, count);
    if (shared) add(shared_weight, shared_output + at, count);
    for (int64_t i = 0; i < count; ++i) residual[token * hidden + at + i] += sums[i];
  }
}

void ExpertDispatch::AddTo(const float* outputs, int64_t hidden, ThreadPool& pool, float* residual) const {
  const int64_t count = tokens_ * hidden;
  const auto add_slices = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float sum = outputs[i];
      for (int64_t slice = 1; slice < experts_.common; ++slice) sum += outputs[slice * count + i];
      residual[i] += sum;
    }
  };
  const auto add_routed = [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
      const int64_t token = at / hidden;
      const int64_t stop = std::min(end, (token + 1) * hidden);
      AddToken(outputs, token, at - token * hidden, stop - token * hidden, hidden, residual);
      at = stop;
    }
  };
  const auto add = [&](int64_t begin, int64_t end) {
    routing_ == nullptr ? add_slices(begin, end) : add_routed(begin, end);
  };
  if (count < kWorthSharing) {
    add(0, count);
  } else {
    pool.ParallelFor(count, kRowGroup, add);
  }
}

}  // namespace conclave::engine
