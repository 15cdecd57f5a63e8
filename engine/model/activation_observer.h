#pragma once

#include <cstdint>

namespace conclave::engine {

/// Which matrices of a transformer read an input.
enum class ProductInput : uint8_t {
  kAttention,        ///< query, key and value
  kAttentionOutput,  ///< the projection behind attention
  kFeedForward,      ///< gate and up
  kDown,             ///< the feed-forward layer's second projection
  kHead,             ///< the output head
};

/// The inputs of one product, as the forward pass computed them in float32.
struct ActivationRows {
  const float* x = nullptr;  ///< [rows, columns]
  int64_t rows = 0;
  int64_t columns = 0;
};

/// Looks on while a model runs, to calibrate a quantisation. Called between parallel regions, by the thread
/// that runs the forward pass; may use its pool.
class ActivationObserver {
 public:
  virtual ~ActivationObserver() = default;

  /// `layer` is 0 for the head.
  virtual void Observe(ProductInput input, int64_t layer, const ActivationRows& rows) = 0;
};

}  // namespace conclave::engine
