#pragma once

#include <cstdint>
#include <fstream>
#include <span>
#include <string>

#include "base/result.h"

namespace conclave::app {

/// Writes a float32 matrix row by row as NumPy's .npy, version 1.0
/// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
class NpyFile {
 public:
  struct Shape {
    int64_t rows = 0;
    int64_t columns = 0;
  };

  /// Errors: PERMISSION_DENIED or NOT_FOUND when the file cannot be made.
  static Result<NpyFile> Create(const std::string& path, const Shape& shape);

  /// The next row, or several. Errors: RESOURCE_EXHAUSTED (the disk is full).
  Status Append(std::span<const float> numbers);

  /// Errors: RESOURCE_EXHAUSTED; INTERNAL when the numbers do not fill the shape.
  Status Close();

 private:
  NpyFile(std::string path, std::ofstream out, int64_t missing)
      : path_(std::move(path)), out_(std::move(out)), missing_(missing) {}

  std::string path_;
  std::ofstream out_;
  int64_t missing_;
};

}  // namespace conclave::app
