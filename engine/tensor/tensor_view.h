#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/tensor/dtype.h"

namespace conclave::engine {

/// Where memory lives. Host is the CPU's; index counts GPUs.
struct Device {
  enum class Kind : uint8_t { kHost, kCuda };
  Kind kind = Kind::kHost;
  int index = 0;
  friend bool operator==(const Device&, const Device&) = default;
};

/// A named tensor inside somebody else's memory (a mapped file, mostly); row-major, outermost dimension first.
/// Does not own: it is valid as long as the file it came from.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  int rank = 0;
  std::array<int64_t, 4> shape{};  ///< shape[0..rank), as numpy and safetensors order it ([rows, columns]).
  const std::byte* data = nullptr;
  int64_t bytes = 0;
  Device device;

  int64_t columns() const { return rank == 0 ? 1 : shape[rank - 1]; }
  /// The product of all dimensions but the innermost.
  int64_t rows() const {
    int64_t product = 1;
    for (int i = 0; i + 1 < rank; ++i) product *= shape[i];
    return product;
  }
  int64_t elements() const { return rows() * columns(); }
};

}  // namespace conclave::engine
