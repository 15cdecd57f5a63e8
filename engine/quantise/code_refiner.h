#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/quantise/column_statistics.h"
#include "engine/tensor/dtype.h"

namespace conclave::engine {

/// Chooses the codes of a quantised row anew, with its scales as they are, so that the errors of neighbouring
/// columns make up for each other in the product: coordinate descent on e^T products e, where e is the row's
/// error (as in QuantEase, arXiv 2309.01885). Keeps scratch memory: one a thread.
class CodeRefiner {
 public:
  /// `statistics` has the row's columns and outlives the refiner.
  CodeRefiner(DType dtype, const ColumnStatistics& statistics);

  /// `encoded`: the bytes of `row` [columns] in the format, as RowQuantiser gives them.
  void Refine(const float* row, std::byte* encoded);

 private:
  void ReadRow(const float* row, const std::byte* encoded);
  void WriteRow(std::byte* encoded) const;
  void RefineBlock(const ColumnBlock& block);
  bool Sweep(const ColumnBlock& block);

  DType dtype_;
  const ColumnStatistics& statistics_;
  std::vector<int8_t> codes_;                     ///< [columns]
  std::vector<float> steps_, errors_, gradient_;  ///< [columns]
};

}  // namespace conclave::engine
