#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/model/language_model.h"

namespace conclave::engine {

/// How far a model's distributions are from a reference's, position by position.
struct ModelComparison {
  int64_t windows = 0;
  /// KL(reference || model) in nats, one a compared position, in the order of the text.
  std::vector<double> divergences;
  int64_t same_top = 0;  ///< positions where both find the same token most likely

  int64_t positions() const { return static_cast<int64_t>(divergences.size()); }
  double Mean() const;
  double Maximum() const;
  /// The divergence that `share` (0 to 1) of the positions do not exceed, interpolated linearly between
  /// neighbours, as numpy.percentile does. 0 without positions.
  double Quantile(double share) const;
  double TopAgreement() const;
};

/// KL(softmax(reference) || softmax(logits)) in nats, in float64; at least 0. NaN when an input is. Both have
/// the same size.
double KlDivergence(std::span<const float> reference, std::span<const float> logits);

/// Cuts `tokens` into windows as ScoreText does and compares the same positions: window / 2 to window - 2 of
/// each. Holds one chunk of both models' logits at a time, whatever the window. The two may share a thread
/// pool. Errors: as ScoreText; INVALID_ARGUMENT (other vocabularies, a logit that is no number).
Result<ModelComparison> CompareModels(LanguageModel& model, LanguageModel& reference,
                                      std::span<const int32_t> tokens, int64_t window,
                                      const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace conclave::engine
