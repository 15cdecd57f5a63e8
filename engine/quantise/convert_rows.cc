#include "engine/quantise/convert_rows.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "engine/files/quoted.h"
#include "engine/kernels/half_rounding.h"
#include "engine/quantise/code_refiner.h"
#include "engine/quantise/row_quantiser.h"

namespace conclave::engine {
namespace {

/// Whether every number is finite and at most `largest`.
bool Within(std::span<const float> row, float largest) {
  for (const float x : row) {
    if (!(std::fabs(x) <= largest)) return false;
  }
  return true;
}

Status BadNumber(const TensorView& source, int64_t row, std::span<const float> numbers, DType target) {
  for (const float x : numbers) {
    if (std::isfinite(x)) continue;
    return InvalidArgument("tensor " + Quoted(source.name) + ", row " + std::to_string(row) +
                           ": a weight is not a finite number; the model is broken");
  }
  return InvalidArgument("tensor " + Quoted(source.name) + ", row " + std::to_string(row) +
                         ": a weight is too large for " + std::string(InfoOf(target).name) + " (over " +
                         std::to_string(static_cast<int>(kLargestWeight)) + ")");
}

/// Converts single rows; one a thread.
class RowConverter {
 public:
  RowConverter(DType target, const ColumnStatistics* statistics, int64_t columns) : target_(target) {
    if (!IsQuantised(target)) return;
    const bool known =
        statistics != nullptr && static_cast<int64_t>(statistics->mean_squares.size()) == columns;
    quantiser_.emplace(target, known ? statistics->mean_squares : std::span<const float>(), columns);
    if (known) refiner_.emplace(target, *statistics);
  }

  void Convert(std::span<const float> row, std::byte* out) {
    if (quantiser_) {
      quantiser_->Quantise(row.data(), out);
      if (refiner_) refiner_->Refine(row.data(), out);
      return;
    }
    if (target_ == DType::kF32) {
      std::memcpy(out, row.data(), row.size_bytes());
      return;
    }
    for (size_t i = 0; i < row.size(); ++i) {
      const uint16_t half = FloatToHalf(row[i]);
      std::memcpy(out + i * sizeof half, &half, sizeof half);
    }
  }

 private:
  DType target_;
  std::optional<RowQuantiser> quantiser_;
  std::optional<CodeRefiner> refiner_;
};

}  // namespace

Status ConvertRows(const TensorView& source, RowOrder order, int64_t row_begin, int64_t row_end, DType target,
                   const ColumnStatistics* statistics, ThreadPool& pool, std::span<std::byte> out) {
  const int64_t columns = source.columns();
  const int64_t source_row_bytes = *RowBytes(source.dtype, columns);
  const int64_t target_row_bytes = *RowBytes(target, columns);
  const float largest = target == DType::kF32 ? std::numeric_limits<float>::max() : kLargestWeight;
  const auto read = [&](int64_t at, float* row) {
    DequantiseRow(source.dtype, source.data + order.SourceRow(at) * source_row_bytes, columns, row);
  };
  std::atomic<int64_t> first_bad = row_end;
  pool.ParallelFor(row_end - row_begin, 1, [&](int64_t begin, int64_t end) {
    RowConverter converter(target, statistics, columns);
    std::vector<float> row(static_cast<size_t>(columns));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = row_begin + i;
      read(at, row.data());
      if (!Within(row, largest)) {
        int64_t seen = first_bad.load();
        while (at < seen && !first_bad.compare_exchange_weak(seen, at)) {
        }
        return;
      }
      converter.Convert(row, out.data() + i * target_row_bytes);
    }
  });
  if (first_bad == row_end) return Status::Ok();
  std::vector<float> row(static_cast<size_t>(columns));
  read(first_bad, row.data());
  return BadNumber(source, order.SourceRow(first_bad), row, target);
}

}  // namespace conclave::engine
