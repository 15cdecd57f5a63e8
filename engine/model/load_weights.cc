#include "engine/model/load_weights.h"

namespace conclave::engine {

Result<std::vector<float>> LoadVector(const ModelFile& file, const std::string& name, int64_t size) {
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* tensor, file.Require(name));
  if (tensor->elements() != size) {
    return InvalidArgument(file.path() + ": tensor '" + name + "' has " + std::to_string(tensor->elements()) +
                           " numbers; the architecture needs " + std::to_string(size));
  }
  std::vector<float> values(size);
  DequantiseRow(tensor->dtype, tensor->data, size, values.data());
  return values;
}

Result<PackedMatrix> LoadMatrix(const ModelFile& file, const std::string& name) {
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* tensor, file.Require(name));
  return PackedMatrix::Pack(*tensor);
}

Result<std::vector<float>> LoadNumbers(const ModelFile& file, const std::string& name, int64_t columns) {
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* tensor, file.Require(name));
  const int64_t rows = tensor->elements() / columns;
  std::vector<float> values(rows * columns);
  const int64_t row_bytes = *RowBytes(tensor->dtype, columns);
  for (int64_t row = 0; row < rows; ++row) {
    DequantiseRow(tensor->dtype, tensor->data + row * row_bytes, columns, values.data() + row * columns);
  }
  return values;
}

Result<PackedMatrix> PackNumbers(const std::vector<float>& numbers, int64_t columns) {
  return PackedMatrix::Pack({.name = "numbers",
                             .dtype = DType::kF32,
                             .rank = 2,
                             .shape = {static_cast<int64_t>(numbers.size()) / columns, columns},
                             .data = reinterpret_cast<const std::byte*>(numbers.data()),
                             .bytes = static_cast<int64_t>(numbers.size() * sizeof(float))});
}

Result<PackedMatrix> LoadFloats(const ModelFile& file, const std::string& name, int64_t columns) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::vector<float> values, LoadNumbers(file, name, columns));
  return PackNumbers(values, columns);
}

}  // namespace conclave::engine
