#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "engine/tensor/tensor_view.h"

namespace conclave::engine {

/// Rows that the kernels compute side by side, one a vector lane.
inline constexpr int64_t kRowGroup = 16;
/// Columns that share one activation scale.
inline constexpr int64_t kActivationBlock = 32;

/// How a packed matrix holds its numbers.
enum class PackedKind : uint8_t {
  kF32,   ///< [group of 16 rows][column][16] float32
  kF16,   ///< the same in IEEE half precision
  kBF16,  ///< the same in bfloat16
  kU4,    ///< blocks of 16 rows and 32 columns with 4-bit q (Q4_0, Q4_1, Q4_K, MXFP4)
  kU8,    ///< the same with 8-bit q (Q5_0, Q5_1, Q5_K, Q6_K, Q8_0)
};

/// What the 4-bit codes of a format with `lookup` stand for: twice the E2M1 numbers (OCP Microscaling Formats
/// 1.0, section 5.3.3), plus the zero point of 16.
inline constexpr uint8_t kFp4Numbers[16] = {16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4};

/// A quantised block: 16 rows x 32 columns of unsigned q, then 16 scales, then 16 offsets or (with
/// half_groups) the 16 scales of columns 16 to 31. A number is scale * (q - zero_point) + offset, or, with
/// `lookup`, scale * (kFp4Numbers[q] - zero_point).
///
/// Bytes of q: kU8 has byte [column / 4][row][column % 4]. kU4 has byte [column / 8][row][column % 4] with
/// columns 8i..8i+3 in the low four bits and 8i+4..8i+7 in the high ones. So one 64-byte load is 4 columns of
/// all 16 rows.
struct BlockFormat {
  bool nibbles = false;       ///< kU4
  bool float_scales = false;  ///< float32 scales and offsets; else IEEE halves
  bool offsets = false;       ///< has offsets; zero_point is then 0
  bool half_groups = false;   ///< two scales a row, for columns 0..15 and 16..31
  int zero_point = 0;
  bool lookup = false;  ///< nibbles are codes

  constexpr int64_t q_bytes() const { return kRowGroup * kActivationBlock / (nibbles ? 2 : 1); }
  constexpr int64_t scale_bytes() const { return kRowGroup * (float_scales ? 4 : 2); }
  constexpr int64_t bytes() const { return q_bytes() + scale_bytes() * (offsets || half_groups ? 2 : 1); }
  /// The largest number that a row's column holds before the zero point is taken off.
  constexpr int most() const { return zero_point > 0 ? 2 * zero_point - 1 : nibbles ? 15 : 31; }
  friend constexpr bool operator==(const BlockFormat&, const BlockFormat&) = default;
};

/// A weight matrix [rows, columns] in the layout of the kernels: rows interleaved in groups of 16, padded
/// with zeros, in one aligned piece of huge pages. Made once at load; immutable, every thread may read it.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  PackedMatrix(PackedMatrix&&) = default;
  PackedMatrix& operator=(PackedMatrix&&) = default;

  /// Packs the part [row_begin, row_end) x [column_begin, column_end) of a tensor seen as [rows(), columns()]
  /// in host memory. For quantised formats the column bounds must be multiples of the format's block.
  /// Unpacking gives DequantiseRow's numbers, exactly. Errors: INVALID_ARGUMENT (bounds, data that is shorter
  /// than the shape, memory of a GPU), RESOURCE_EXHAUSTED (no memory).
  static Result<PackedMatrix> Pack(const TensorView& tensor, int64_t row_begin, int64_t row_end,
                                   int64_t column_begin, int64_t column_end);
  static Result<PackedMatrix> Pack(const TensorView& tensor) {
    return Pack(tensor, 0, tensor.rows(), 0, tensor.columns());
  }

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  PackedKind kind() const { return kind_; }
  bool quantised() const { return kind_ == PackedKind::kU4 || kind_ == PackedKind::kU8; }
  /// Of the quantised kinds.
  const BlockFormat& block_format() const { return block_format_; }
  /// Columns for each scale: 32 or 16; 0 for floats.
  int64_t scale_group() const {
    return quantised() ? (block_format_.half_groups ? kActivationBlock / 2 : kActivationBlock) : 0;
  }
  int64_t bytes() const { return bytes_; }
  const std::byte* data() const { return data_.get(); }
  /// Bytes from one group of 16 rows to the next.
  int64_t group_bytes() const { return group_bytes_; }

  /// One row as float32 (an embedding look-up, and tests). `out` holds columns() numbers.
  void UnpackRow(int64_t row, float* out) const;

 private:
  Status Allocate();
  void UnpackBlocks(int64_t row, float* out) const;

  std::shared_ptr<std::byte[]> data_;  ///< of AllocateWeights
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  int64_t group_bytes_ = 0;
  int64_t bytes_ = 0;
  PackedKind kind_ = PackedKind::kF32;
  BlockFormat block_format_;
};

}  // namespace conclave::engine
