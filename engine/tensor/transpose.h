#pragma once

#include <cstdint>
#include <vector>

namespace conclave::engine {

/// [rows, columns] as [columns, rows].
inline std::vector<float> Transposed(const float* from, int64_t rows, int64_t columns) {
  std::vector<float> out(static_cast<size_t>(rows * columns));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      out[column * rows + row] = from[row * columns + column];
    }
  }
  return out;
}

}  // namespace conclave::engine
