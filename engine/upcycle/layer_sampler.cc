#include "engine/upcycle/layer_sampler.h"

#include <utility>

namespace conclave::engine {

void LayerSampler::Observe(ProductInput input, int64_t layer, const ActivationRows& rows) {
  if (layer < first_ || layer >= first_ + static_cast<int64_t>(layers_.size())) return;
  Layer& own = layers_[layer - first_];
  const bool x = input == ProductInput::kFeedForward;
  if (!x && input != ProductInput::kDown) return;
  std::vector<float>& kept = x ? own.samples.x : own.samples.inner;
  int64_t& seen = x ? own.seen_x : own.seen_inner;
  kept.reserve(static_cast<size_t>(most_ * rows.columns));
  for (int64_t row = 0; row < rows.rows; ++row, ++seen) {
    if (seen % stride_ != 0 || seen / stride_ >= most_) continue;
    kept.insert(kept.end(), rows.x + row * rows.columns, rows.x + (row + 1) * rows.columns);
    if (!x) ++own.samples.tokens;
  }
}

LayerSamples LayerSampler::Take(int64_t layer) { return std::exchange(layers_[layer - first_].samples, {}); }

}  // namespace conclave::engine
