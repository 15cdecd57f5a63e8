#include "engine/quantise/statistics_gatherer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/kernels/kernels.h"

namespace conclave::engine {
namespace {

/// By how much products of different columns are trusted less than squares: the text is a sample.
constexpr float kDoubt = 0.02f;

std::vector<ColumnBlock> MakeBlocks(int64_t columns, ColumnGrouping grouping) {
  const int64_t width = columns <= grouping.whole ? columns : grouping.width;
  std::vector<ColumnBlock> blocks;
  for (int64_t first = 0; first < columns; first += width) {
    const int64_t count = std::min(width, columns - first);
    blocks.push_back({.first = first, .count = count, .products = std::vector<float>(count * count)});
  }
  return blocks;
}

}  // namespace

uint64_t ColumnGrouping::Bytes(int64_t columns) const {
  const auto square = [](int64_t count) { return static_cast<uint64_t>(count * count) * sizeof(float); };
  if (columns <= whole) return square(columns);
  return static_cast<uint64_t>(columns / width) * square(width) + square(columns % width);
}

Status InputStatistics::Add(const ActivationRows& rows, ColumnGrouping grouping, ThreadPool& pool,
                            ProductScratch& scratch) {
  if (sums_.blocks.empty()) sums_.blocks = MakeBlocks(rows.columns, grouping);
  for (ColumnBlock& block : sums_.blocks) CONCLAVE_RETURN_IF_ERROR(AddBlock(rows, pool, scratch, block));
  rows_ += rows.rows;
  return Status::Ok();
}

Status InputStatistics::AddBlock(const ActivationRows& rows, ThreadPool& pool, ProductScratch& scratch,
                                 ColumnBlock& block) {
  const int64_t count = block.count;
  std::vector<float>& transposed = scratch.transposed;
  std::vector<float>& products = scratch.products;
  transposed.resize(count * rows.rows);
  products.resize(count * count);
  for (int64_t row = 0; row < rows.rows; ++row) {
    const float* x = rows.x + row * rows.columns + block.first;
    for (int64_t i = 0; i < count; ++i) transposed[i * rows.rows + row] = x[i];
  }
  TensorView view{.name = "activations", .dtype = DType::kF32, .rank = 2, .shape = {count, rows.rows}};
  view.data = reinterpret_cast<const std::byte*>(transposed.data());
  view.bytes = static_cast<int64_t>(transposed.size() * sizeof(float));
  CONCLAVE_ASSIGN_OR_RETURN(const PackedMatrix packed, PackedMatrix::Pack(view));
  const Kernels& kernels = BestKernels();
  pool.ParallelFor(count, kRowGroup, [&](int64_t begin, int64_t end) {
    kernels.matmul(packed, begin, end, transposed.data(), rows.rows, nullptr, count, products.data(), count);
  });
  for (size_t i = 0; i < products.size(); ++i) block.products[i] += products[i];
  return Status::Ok();
}

Result<std::shared_ptr<const ColumnStatistics>> InputStatistics::Take() {
  auto means = std::make_shared<ColumnStatistics>(std::move(sums_));
  const float scale = 1.0f / static_cast<float>(rows_);
  for (ColumnBlock& block : means->blocks) {
    for (int64_t i = 0; i < block.count; ++i) {
      for (int64_t j = 0; j < block.count; ++j) {
        float& product = block.products[i * block.count + j];
        product *= i == j ? scale : scale * (1.0f - kDoubt);
        if (!std::isfinite(product))
          return InvalidArgument("activations are not finite: the model is broken");
      }
      means->mean_squares.push_back(block.products[i * block.count + i]);
    }
  }
  return std::shared_ptr<const ColumnStatistics>(std::move(means));
}

void StatisticsGatherer::Observe(ProductInput input, int64_t layer, const ActivationRows& rows) {
  if (failure_.ok()) failure_ = inputs_[{input, layer}].Add(rows, grouping_, pool_, scratch_);
}

Result<std::shared_ptr<const ColumnStatistics>> StatisticsGatherer::Take(ProductInput input, int64_t layer) {
  CONCLAVE_RETURN_IF_ERROR(failure_);
  const auto found = inputs_.find({input, layer});
  if (found == inputs_.end()) return std::shared_ptr<const ColumnStatistics>();
  return found->second.Take();
}

}  // namespace conclave::engine
