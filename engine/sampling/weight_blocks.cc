#include "engine/sampling/weight_blocks.h"

#include <algorithm>
#include <functional>

namespace conclave::engine {

WeightBlocks::WeightBlocks(std::span<const float> logits, float max, double temperature)
    : logits_(logits), max_(max), temperature_(temperature) {
  static_assert(kWeightsTogether % kLanes == 0);
  blocks_.reserve(logits.size() / kWeightsTogether + 1);
  SoftmaxWeights(logits, max, temperature, [this](size_t, std::span<const float> weights) {
    Block& block = blocks_.emplace_back();
    LaneSum sum;
    sum.Add(weights);
    block.sum = sum.Total();
    size_t i = 0;
    for (; i + kLanes <= weights.size(); i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) {
        block.highest[lane] = std::max(block.highest[lane], weights[i + lane]);
      }
    }
    for (; i < weights.size(); ++i)
      block.highest[i % kLanes] = std::max(block.highest[i % kLanes], weights[i]);
    total_ += block.sum;
  });
}

float WeightBlocks::ReachedBy(int64_t count) const {
  std::vector<float> highest;
  highest.reserve(blocks_.size() * kLanes);
  for (const Block& block : blocks_) {
    highest.insert(highest.end(), block.highest.begin(), block.highest.end());
  }
  if (count > static_cast<int64_t>(highest.size())) return 0.0f;
  const auto nth = highest.begin() + (count - 1);
  std::nth_element(highest.begin(), nth, highest.end(), std::greater<>());
  return *nth;
}

bool WeightBlocks::Holds(const Block& block, double least) {
  return std::any_of(block.highest.begin(), block.highest.end(),
                     [least](float weight) { return weight >= least && weight > 0.0f; });
}

std::span<const float> WeightBlocks::Logits(size_t block) const {
  const size_t first = block * kWeightsTogether;
  return logits_.subspan(first, std::min(kWeightsTogether, logits_.size() - first));
}

int32_t WeightBlocks::At(double target) const {
  if (total_ == 0.0) return -1;
  double passed = 0.0;
  size_t last = 0;
  for (size_t index = 0; index < blocks_.size(); ++index) {
    if (blocks_[index].sum == 0.0) continue;
    last = index;
    if (passed + blocks_[index].sum > target) return AtWithin(index, target - passed);
    passed += blocks_[index].sum;
  }
  return AtWithin(last, target);
}

int32_t WeightBlocks::AtWithin(size_t block, double target) const {
  double passed = 0.0;
  size_t chosen = 0;
  SoftmaxWeights(Logits(block), max_, temperature_, [&](size_t, std::span<const float> weights) {
    for (size_t i = 0; i < weights.size() && passed <= target; ++i) {
      if (weights[i] == 0.0f) continue;
      passed += weights[i];
      chosen = i;
    }
  });
  return static_cast<int32_t>(block * kWeightsTogether + chosen);
}

}  // namespace conclave::engine
