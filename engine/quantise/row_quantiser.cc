#include "engine/quantise/row_quantiser.h"

#include "engine/quantise/block_quantisers.h"

namespace conclave::engine {
namespace {

/// The least importance of a column, as a share of the mean: one that calibration never saw still counts.
constexpr float kLeastImportance = 1e-3f;

/// Weights of mean 1; all 1 when nothing is known.
std::vector<float> Normalised(std::span<const float> importance, int64_t columns) {
  double sum = 0.0;
  for (const float value : importance) sum += value;
  const double mean = importance.empty() ? 0.0 : sum / static_cast<double>(importance.size());
  if (!(mean > 0.0)) return std::vector<float>(columns, 1.0f);
  std::vector<float> out;
  for (const float value : importance) {
    const auto share = static_cast<float>(value / mean);
    out.push_back(share > kLeastImportance ? share : kLeastImportance);
  }
  return out;
}

}  // namespace

RowQuantiser::RowQuantiser(DType dtype, std::span<const float> importance, int64_t columns)
    : dtype_(dtype), columns_(columns), weights_(Normalised(importance, columns)) {}

void RowQuantiser::Quantise(const float* row, std::byte* out) const {
  const DTypeInfo& info = InfoOf(dtype_);
  for (int64_t at = 0; at < columns_; at += info.block_elements, out += info.block_bytes) {
    QuantiseBlock(dtype_, row + at, weights_.data() + at, out);
  }
}

}  // namespace conclave::engine
