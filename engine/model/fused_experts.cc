#include "engine/model/fused_experts.h"

#include <cstring>

namespace conclave::engine {
namespace {

constexpr int64_t kPackedBytes = kMxBlock / 2;

struct RowRange {
  int64_t first;
  int64_t step;
  int64_t count;
};

RowRange RangeOf(FusedRows rows, int64_t all) {
  if (rows == FusedRows::kAll) return {0, 1, all};
  return {rows == FusedRows::kEven ? 0 : 1, 2, all / 2};
}

/// Numbers 2i and 2i + 1 lie together in the source; i and i + 16 in GGUF's blocks.
void RepackNibbles(const std::byte* from, std::byte* to) {
  const auto nibble = [from](int64_t i) {
    const auto byte = static_cast<uint8_t>(from[i / 2]);
    return i % 2 == 0 ? byte & 0x0F : byte >> 4;
  };
  for (int64_t i = 0; i < kPackedBytes; ++i) {
    to[i] = static_cast<std::byte>(nibble(i) | nibble(i + kPackedBytes) << 4);
  }
}

CopiedMatrix Copied(const std::string& name, DType dtype, int64_t rows, int64_t columns,
                    std::vector<std::byte> bytes) {
  CopiedMatrix out{.memory = std::make_shared<const std::vector<std::byte>>(std::move(bytes))};
  out.view = {.name = name,
              .dtype = dtype,
              .rank = 2,
              .shape = {rows, columns},
              .data = out.memory->data(),
              .bytes = static_cast<int64_t>(out.memory->size())};
  return out;
}

CopiedMatrix CopyMxFp4(const std::string& name, const ByteTensor& blocks, const ByteTensor& scales,
                       int64_t expert, FusedRows rows) {
  const RowRange range = RangeOf(rows, blocks.shape[1]);
  const int64_t row_blocks = blocks.shape[2];
  const int64_t block_bytes = InfoOf(DType::kMXFP4).block_bytes;
  std::vector<std::byte> bytes(range.count * row_blocks * block_bytes);
  std::byte* to = bytes.data();
  for (int64_t i = 0; i < range.count; ++i) {
    const int64_t row = expert * blocks.shape[1] + range.first + i * range.step;
    for (int64_t block = row * row_blocks; block < (row + 1) * row_blocks; ++block, to += block_bytes) {
      *to = scales.data[block];
      RepackNibbles(blocks.data + block * kPackedBytes, to + 1);
    }
  }
  return Copied(name, DType::kMXFP4, range.count, row_blocks * kMxBlock, std::move(bytes));
}

CopiedMatrix CopyTransposed(const TensorView& tensor, int64_t expert, FusedRows rows) {
  const int64_t inputs = tensor.shape[1];
  const int64_t outputs = tensor.shape[2];
  const int64_t width = InfoOf(tensor.dtype).block_bytes;
  const RowRange range = RangeOf(rows, outputs);
  std::vector<std::byte> bytes(range.count * inputs * width);
  for (int64_t input = 0; input < inputs; ++input) {
    const std::byte* from = tensor.data + ((expert * inputs + input) * outputs + range.first) * width;
    for (int64_t i = 0; i < range.count; ++i) {
      std::memcpy(bytes.data() + (i * inputs + input) * width, from + i * range.step * width, width);
    }
  }
  return Copied(tensor.name, tensor.dtype, range.count, inputs, std::move(bytes));
}

}  // namespace

DType FusedType(const ModelFile& file, const std::string& name) {
  const TensorView* tensor = file.Find(name);
  return tensor == nullptr ? DType::kMXFP4 : tensor->dtype;
}

Result<CopiedMatrix> CopyFusedExpert(const ModelFile& file, const std::string& name, int64_t expert,
                                     FusedRows rows) {
  const TensorView* tensor = file.Find(name);
  if (tensor != nullptr) return CopyTransposed(*tensor, expert, rows);
  const ByteTensor* blocks = file.FindBytes(name + "_blocks");
  const ByteTensor* scales = file.FindBytes(name + "_scales");
  if (blocks == nullptr || scales == nullptr) return file.Require(name).status();
  return CopyMxFp4(name, *blocks, *scales, expert, rows);
}

Result<std::vector<float>> CopyExpertBias(const ModelFile& file, const std::string& name, int64_t expert,
                                          FusedRows rows) {
  CONCLAVE_ASSIGN_OR_RETURN(const TensorView* tensor, file.Require(name));
  const int64_t columns = tensor->columns();
  const auto row_bytes = RowBytes(tensor->dtype, columns);
  if (!row_bytes) return InvalidArgument(file.path() + ": tensor '" + name + "' holds a part of a block");
  std::vector<float> all(columns);
  DequantiseRow(tensor->dtype, tensor->data + expert * *row_bytes, columns, all.data());
  const RowRange range = RangeOf(rows, columns);
  std::vector<float> out(range.count);
  for (int64_t i = 0; i < range.count; ++i) out[i] = all[range.first + i * range.step];
  return out;
}

}  // namespace conclave::engine
