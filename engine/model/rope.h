#pragma once

#include <cstdint>
#include <vector>

#include "engine/model/architecture.h"

namespace conclave::engine {

/// How much YaRN scales attention for a stretch by `factor` (arXiv 2309.00071, section 3.4): 1 + 0.1 weight
/// ln(factor).
double YarnAttentionFactor(double factor, double weight);

/// RoPE's rotation angles for each position (arXiv 2104.09864), stretched as `Architecture::rope_scaling`
/// says. The formulas, and the places where they are rounded to float32, are those of transformers'
/// `modeling_rope_utils`. Two kinds depend on a sequence's length there, and are fixed once here so that a
/// token's key never changes:
///  - dynamic NTK stretches only sequences longer than the model's context. The engine admits none, so it is
///  plain
///    RoPE here.
///  - LongRoPE uses its long factors for every sequence when the model's context is longer than the original
///  one
///    (as llama.cpp does), and its short factors otherwise.
/// Immutable; any thread may call. Copying copies the table (up to kMaxRopeTableBytes).
class RopeTable {
 public:
  /// `architecture` must be validated (DescribeModel does).
  explicit RopeTable(const Architecture& architecture);

  /// Writes rope_dims numbers: rope_dims / 2 cosines, then as many sines, all multiplied by
  /// attention_factor(). `position` is at least 0. The first positions are copied from a table, later ones
  /// computed.
  void CosSin(int64_t position, float* cos_sin) const;

  /// Radians per position of each rotated pair: [rope_dims / 2].
  const std::vector<float>& inverse_frequencies() const { return inverse_frequencies_; }

  /// What cosines and sines are multiplied by (YaRN's and LongRoPE's "mscale"); 1 for the others.
  double attention_factor() const { return attention_factor_; }

 private:
  void Compute(int64_t position, float* cos_sin) const;

  int64_t dims_;
  std::vector<float> inverse_frequencies_;
  double attention_factor_;
  int64_t table_positions_ = 0;
  std::vector<float> table_;  ///< [table_positions_, dims_]
};

}  // namespace conclave::engine
