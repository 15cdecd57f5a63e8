#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/model/activation_observer.h"

namespace conclave::engine {

/// What a dense feed-forward block read and computed for some tokens.
struct LayerSamples {
  int64_t tokens = 0;
  std::vector<float> x;      ///< [tokens, hidden]: the normalised input
  std::vector<float> inner;  ///< [tokens, inner]: what the down projection reads
};

/// Keeps every `stride`-th token's activations of the feed-forward layers [first, end) of a dense model, at
/// most `most` of each layer. Memory: Bytes of each layer.
class LayerSampler final : public ActivationObserver {
 public:
  LayerSampler(int64_t first, int64_t end, int64_t stride, int64_t most)
      : first_(first), stride_(stride), most_(most), layers_(static_cast<size_t>(end - first)) {}

  /// What the samples of one layer take.
  static uint64_t Bytes(int64_t tokens, int64_t hidden, int64_t inner) {
    return static_cast<uint64_t>(tokens) * static_cast<uint64_t>(hidden + inner) * sizeof(float);
  }

  void Observe(ProductInput input, int64_t layer, const ActivationRows& rows) override;

  /// What was kept of a layer, handed over.
  LayerSamples Take(int64_t layer);

 private:
  struct Layer {
    LayerSamples samples;
    int64_t seen_x = 0, seen_inner = 0;  ///< tokens
  };

  const int64_t first_, stride_, most_;
  std::vector<Layer> layers_;
};

}  // namespace conclave::engine
