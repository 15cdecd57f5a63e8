#include "engine/quantise/code_refiner.h"

#include <algorithm>
#include <cmath>

#include "engine/quantise/code_layout.h"

namespace conclave::engine {
namespace {

constexpr int kMostSweeps = 16;

/// out += factor * row.
void AddScaled(const float* row, float factor, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] += factor * row[i];
}

}  // namespace

CodeRefiner::CodeRefiner(DType dtype, const ColumnStatistics& statistics)
    : dtype_(dtype),
      statistics_(statistics),
      codes_(statistics.mean_squares.size()),
      steps_(statistics.mean_squares.size()),
      errors_(statistics.mean_squares.size()),
      gradient_(statistics.mean_squares.size()) {}

void CodeRefiner::Refine(const float* row, std::byte* encoded) {
  ReadRow(row, encoded);
  for (const ColumnBlock& block : statistics_.blocks) RefineBlock(block);
  WriteRow(encoded);
}

void CodeRefiner::ReadRow(const float* row, const std::byte* encoded) {
  const auto columns = static_cast<int64_t>(codes_.size());
  const DTypeInfo& info = InfoOf(dtype_);
  const int64_t group = ScaleGroupOf(dtype_);
  DequantiseRow(dtype_, encoded, columns, errors_.data());
  for (int64_t i = 0; i < columns; ++i) errors_[i] -= row[i];
  std::vector<float> steps(info.block_elements / group);
  for (int64_t at = 0; at < columns; at += info.block_elements, encoded += info.block_bytes) {
    ReadCodes(dtype_, encoded, codes_.data() + at);
    ReadSteps(dtype_, encoded, steps.data());
    for (int64_t i = 0; i < info.block_elements; ++i) steps_[at + i] = steps[i / group];
  }
}

void CodeRefiner::WriteRow(std::byte* encoded) const {
  const DTypeInfo& info = InfoOf(dtype_);
  for (size_t at = 0; at < codes_.size(); at += info.block_elements, encoded += info.block_bytes) {
    WriteCodes(dtype_, codes_.data() + at, encoded);
  }
}

void CodeRefiner::RefineBlock(const ColumnBlock& block) {
  float* gradient = gradient_.data() + block.first;
  std::fill_n(gradient, block.count, 0.0f);
  for (int64_t i = 0; i < block.count; ++i) {
    AddScaled(block.products.data() + i * block.count, errors_[block.first + i], block.count, gradient);
  }
  for (int sweep = 0; sweep < kMostSweeps && Sweep(block); ++sweep) {
  }
}

bool CodeRefiner::Sweep(const ColumnBlock& block) {
  const CodeRange range = CodeRangeOf(dtype_);
  float* gradient = gradient_.data() + block.first;
  bool changed = false;
  for (int64_t i = 0; i < block.count; ++i) {
    const float* products = block.products.data() + i * block.count;
    const float step = steps_[block.first + i];
    const float curvature = step * products[i];
    if (curvature == 0.0f) continue;
    int8_t& code = codes_[block.first + i];
    // A little more than half a step, so that rounding errors of the gradient move no code to and fro.
    const float wanted = std::clamp(static_cast<float>(code) - gradient[i] / curvature,
                                    static_cast<float>(range.lowest), static_cast<float>(range.highest));
    const float move = std::nearbyint(wanted) - static_cast<float>(code);
    if (move == 0.0f || std::fabs(wanted - static_cast<float>(code)) < 0.505f) continue;
    code = static_cast<int8_t>(static_cast<float>(code) + move);
    AddScaled(products, move * step, block.count, gradient);
    changed = true;
  }
  return changed;
}

}  // namespace conclave::engine
