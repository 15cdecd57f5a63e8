#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/sampling/softmax_weights.h"

namespace conclave::engine {

/// The softmax weights of a row of logits (SoftmaxWeights) in blocks, of which a pass over all of them keeps
/// the sums and the highest ones; the weights themselves are made again where they matter. `logits` must
/// outlive it.
class WeightBlocks {
 public:
  WeightBlocks(std::span<const float> logits, float max, double temperature);

  double total() const { return total_; }

  /// A weight that at least `count` of them reach, close to the count-th highest; 0 when they are too few to
  /// tell.
  float ReachedBy(int64_t count) const;

  /// Calls take(id, weight) in order for all weights of at least `least`, and above 0.
  template <typename Take>
  void ForEachFrom(double least, Take take) const {
    for (size_t index = 0; index < blocks_.size(); ++index) {
      if (!Holds(blocks_[index], least)) continue;
      SoftmaxWeights(Logits(index), max_, temperature_, [&](size_t, std::span<const float> weights) {
        for (size_t i = 0; i < weights.size(); ++i) {
          if (weights[i] >= least && weights[i] > 0.0f)
            take(static_cast<int32_t>(index * kWeightsTogether + i), weights[i]);
        }
      });
    }
  }

  /// The first id at which the weights up to it and with it pass `target`; the last id with a weight above 0
  /// when `target` is as high as all of them; -1 when no weight is above 0.
  int32_t At(double target) const;

 private:
  static constexpr size_t kLanes = 16;
  /// One of kWeightsTogether weights.
  struct Block {
    double sum = 0.0;
    std::array<float, kLanes> highest{};  ///< of every 16th weight, from the first, second, and so on
  };

  static bool Holds(const Block& block, double least);
  std::span<const float> Logits(size_t block) const;
  int32_t AtWithin(size_t block, double target) const;

  std::span<const float> logits_;
  float max_;
  double temperature_;
  double total_ = 0.0;
  std::vector<Block> blocks_;
};

}  // namespace conclave::engine
