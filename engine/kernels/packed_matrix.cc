#include "engine/kernels/packed_matrix.h"

#include <cstring>
#include <string>

#include "engine/kernels/packing/pack_rows.h"
#include "engine/kernels/packing/source_block.h"
#include "engine/tensor/half.h"
#include "engine/tensor/page_memory.h"

namespace conclave::engine {
namespace {

/// Loads may read this far past the last block (prefetching reads nothing).
constexpr int64_t kReadPastEnd = 64;
/// Above every matrix that memory can hold, and far below where sizes overflow.
constexpr int64_t kMostDimension = int64_t{1} << 31;

PackedKind KindOf(DType dtype) {
  switch (dtype) {
    case DType::kF32: return PackedKind::kF32;
    case DType::kF16: return PackedKind::kF16;
    case DType::kBF16: return PackedKind::kBF16;
    default: return BlockFormatOf(dtype).nibbles ? PackedKind::kU4 : PackedKind::kU8;
  }
}

Status CheckBounds(const TensorView& tensor, int64_t row_begin, int64_t row_end, int64_t column_begin,
                   int64_t column_end) {
  const std::string name = "tensor '" + tensor.name + "': ";
  if (tensor.device.kind != Device::Kind::kHost)
    return InvalidArgument(name + "only host memory can be packed");
  const int64_t rows = tensor.rows();
  const int64_t columns = tensor.columns();
  if (rows > kMostDimension || columns > kMostDimension) {
    return InvalidArgument(name + "is larger than 2^31 rows or columns");
  }
  if (row_begin < 0 || row_begin > row_end || row_end > rows || column_begin < 0 ||
      column_begin > column_end || column_end > columns) {
    return InvalidArgument(name + "the part [" + std::to_string(row_begin) + ", " + std::to_string(row_end) +
                           ") x [" + std::to_string(column_begin) + ", " + std::to_string(column_end) +
                           ") is not inside [" + std::to_string(rows) + ", " + std::to_string(columns) + "]");
  }
  const DTypeInfo& info = InfoOf(tensor.dtype);
  const auto row_bytes = RowBytes(tensor.dtype, columns);
  if (!row_bytes || column_begin % info.block_elements != 0 || column_end % info.block_elements != 0) {
    return InvalidArgument(name + "columns of " + std::string(info.name) + " come in blocks of " +
                           std::to_string(info.block_elements));
  }
  if (rows > 0 && (*row_bytes > tensor.bytes / rows || (tensor.data == nullptr && tensor.bytes > 0))) {
    return InvalidArgument(name + "has " + std::to_string(tensor.bytes) +
                           " bytes, fewer than its shape needs");
  }
  return Status::Ok();
}

float LoadScale(const BlockFormat& format, const std::byte* run, int64_t lane) {
  if (format.float_scales) {
    float value;
    std::memcpy(&value, run + lane * 4, 4);
    return value;
  }
  uint16_t half;
  std::memcpy(&half, run + lane * 2, 2);
  return HalfToFloat(half);
}

}  // namespace

Status PackedMatrix::Allocate() {
  const auto groups = static_cast<uint64_t>((rows_ + kRowGroup - 1) / kRowGroup);
  int64_t wanted = 0;
  if (__builtin_mul_overflow(groups, static_cast<uint64_t>(group_bytes_), &wanted) ||
      wanted > INT64_MAX - kReadPastEnd) {
    return ResourceExhausted("a packed matrix would be larger than the address space");
  }
  bytes_ = wanted;
  data_ = AllocateWeights(bytes_ + kReadPastEnd);
  if (data_ == nullptr) {
    return ResourceExhausted("no memory for a packed matrix of " + std::to_string(bytes_) + " bytes");
  }
  return Status::Ok();
}

Result<PackedMatrix> PackedMatrix::Pack(const TensorView& tensor, int64_t row_begin, int64_t row_end,
                                        int64_t column_begin, int64_t column_end) {
  CONCLAVE_RETURN_IF_ERROR(CheckBounds(tensor, row_begin, row_end, column_begin, column_end));
  PackedMatrix matrix;
  matrix.rows_ = row_end - row_begin;
  matrix.columns_ = column_end - column_begin;
  matrix.kind_ = KindOf(tensor.dtype);
  matrix.block_format_ = BlockFormatOf(tensor.dtype);
  const DTypeInfo& info = InfoOf(tensor.dtype);
  matrix.group_bytes_ = matrix.quantised() ? matrix.columns_ / kActivationBlock * matrix.block_format_.bytes()
                                           : matrix.columns_ * kRowGroup * info.block_bytes;
  CONCLAVE_RETURN_IF_ERROR(matrix.Allocate());
  if (matrix.rows_ == 0 || matrix.columns_ == 0) return matrix;

  const int64_t stride = *RowBytes(tensor.dtype, tensor.columns());
  const SourceRows source{
      .dtype = tensor.dtype,
      .first = tensor.data + row_begin * stride + column_begin / info.block_elements * info.block_bytes,
      .stride = stride,
      .rows = matrix.rows_,
      .columns = matrix.columns_};
  if (matrix.quantised()) {
    PackBlocks(source, matrix.block_format_, matrix.data_.get());
  } else {
    PackFloats(source, matrix.data_.get());
  }
  return matrix;
}

void PackedMatrix::UnpackBlocks(int64_t row, float* out) const {
  const BlockFormat& format = block_format_;
  const int64_t lane = row % kRowGroup;
  const std::byte* block = data_.get() + row / kRowGroup * group_bytes_;
  for (int64_t column = 0; column < columns_; column += kActivationBlock, block += format.bytes()) {
    const auto* q = reinterpret_cast<const uint8_t*>(block);
    const std::byte* scales = block + format.q_bytes();
    const float scale = LoadScale(format, scales, lane);
    const bool two = format.offsets || format.half_groups;
    const float further = two ? LoadScale(format, scales + format.scale_bytes(), lane) : 0.0f;
    const float offset = format.offsets ? further : 0.0f;
    for (int64_t i = 0; i < kActivationBlock; ++i) {
      const bool second = format.half_groups && i >= kActivationBlock / 2;
      int number = format.nibbles ? q[i / 8 * 64 + lane * 4 + i % 4] : q[i / 4 * 64 + lane * 4 + i % 4];
      if (format.nibbles) number = i % 8 < 4 ? number & 0x0F : number >> 4;
      if (format.lookup) number = kFp4Numbers[number];
      out[column + i] = (second ? further : scale) * static_cast<float>(number - format.zero_point);
      if (format.offsets) out[column + i] += offset;
    }
  }
}

void PackedMatrix::UnpackRow(int64_t row, float* out) const {
  if (quantised()) return UnpackBlocks(row, out);
  const std::byte* group = data_.get() + row / kRowGroup * group_bytes_;
  for (int64_t column = 0; column < columns_; ++column) {
    const int64_t at = column * kRowGroup + row % kRowGroup;
    uint16_t word;
    switch (kind_) {
      case PackedKind::kF32: std::memcpy(&out[column], group + at * 4, 4); break;
      case PackedKind::kF16:
        std::memcpy(&word, group + at * 2, 2);
        out[column] = HalfToFloat(word);
        break;
      default:
        std::memcpy(&word, group + at * 2, 2);
        out[column] = BrainToFloat(word);
        break;
    }
  }
}

}  // namespace conclave::engine
