#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace conclave::engine {

/// Neighbouring columns whose activations were gathered together.
struct ColumnBlock {
  int64_t first = 0;
  int64_t count = 0;
  /// [count, count]: the mean of x_i * x_j over the tokens, symmetric; off the diagonal a little smaller.
  std::vector<float> products;
};

/// What a matrix is multiplied with, over some text: an error e in its row costs e^T products e.
struct ColumnStatistics {
  std::vector<float> mean_squares;  ///< [columns]: the mean of x_i^2
  std::vector<ColumnBlock> blocks;  ///< all columns, in order
};

/// By the name of the tensor; matrices that read the same input share theirs. Tensors that are missing: not
/// known.
using Importance = std::map<std::string, std::shared_ptr<const ColumnStatistics>, std::less<>>;

}  // namespace conclave::engine
