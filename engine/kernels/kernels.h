#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/kernels/attention_task.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/model/architecture.h"
#include "engine/tensor/aligned_vector.h"

namespace conclave::engine {

/// Activations [rows, columns] as 8-bit blocks, for quantised weights. A block of 32 columns has one scale
/// d = max|x| / 127 and q = x * (1 / d), rounded to the nearest integer, ties to even, so |q| <= 127. A block
/// whose scale would be below the smallest normal float32 is all zeros; a block that holds a NaN or an
/// infinity has scale NaN and q 0, so that whatever is computed from it is NaN. A short last block is padded
/// with zeros.
struct QuantisedRows {
  int64_t rows = 0;
  int64_t columns = 0;
  AlignedVector<int8_t> q;      ///< [rows, blocks * 32]
  AlignedVector<float> scales;  ///< [rows, blocks]
  AlignedVector<float> sums;    ///< [rows, blocks]: d * (q_0 + ... + q_31), for weights with an offset
  AlignedVector<int32_t>
      half_sums;  ///< [rows, blocks * 2]: q_0 + ... + q_15 and q_16 + ... + q_31, for zero points

  int64_t blocks() const { return (columns + kActivationBlock - 1) / kActivationBlock; }
  /// Makes room for [new_rows, new_columns]; keeps memory, not contents.
  void Resize(int64_t new_rows, int64_t new_columns);
  /// Fills `sums` and `half_sums` of a row from its `q` and `scales` (that came from elsewhere; quantise_row
  /// does it).
  void SumRow(int64_t row);
};

/// The room for a head in 8 bits: it is written in whole vectors.
inline constexpr int64_t kQuantisedHeadRoom = kMostPairedHeadDim + 16;

/// The operations of a forward pass for one instruction set. Every function is pure and single-threaded;
/// callers split the work. For each output number the order of float operations is fixed: it never depends on
/// how many rows are computed together, on the range that was asked for, or on threads.
struct Kernels {
  std::string_view name;  ///< "reference", "avx2", "avx512" or "avx512bf16"

  /// Quantises row `row` of [rows, columns] floats into `out` (which was resized for all rows).
  void (*quantise_row)(const float* x, int64_t row, QuantisedRows& out);

  /// out[t * out_stride + r] = sum over c of w[r, c] * x[t, c], for r in [row_begin, row_end) and all t;
  /// row_begin is a multiple of 16. For kU4 and kU8 reads `x8`, else `x` ([tokens, columns] float32, rows
  /// x_stride apart). All sets give the same bits. Quantised: acc = 0; for each block in order acc =
  /// fma(w_scale * x_scale, dot, acc) with the exact integer dot product (twice with half groups), then acc =
  /// fma(w_offset, x_sum, acc) if there are offsets. Floats: four accumulators for columns modulo 4, by fma,
  /// then (acc0 + acc1) + (acc2 + acc3).
  void (*matmul)(const PackedMatrix& w, int64_t row_begin, int64_t row_end, const float* x, int64_t x_stride,
                 const QuantisedRows* x8, int64_t tokens, float* out, int64_t out_stride);

  /// out = x / sqrt(mean(x^2) + epsilon) * weight (arXiv 1910.07467); out may be x.
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int64_t n, float* out);

  /// Rotates the first `dims` numbers of `heads` heads lying head_dim apart. cos_sin: dims / 2 cosines, then
  /// as many sines.
  void (*rope)(float* x, int64_t heads, int64_t head_dim, int64_t dims, RopeLayout layout,
               const float* cos_sin);

  /// out = gate / (1 + e^-gate) * up; out may be gate.
  void (*swiglu)(const float* gate, const float* up, int64_t n, float* out);

  /// out = g / (1 + e^(-alpha g)) * (u + 1), where g is gate up to limit and u is up between -limit and limit
  /// (gpt-oss, arXiv 2508.10925); out may be gate.
  void (*swiglu_clamped)(const float* gate, const float* up, float alpha, float limit, int64_t n, float* out);

  /// out = e^x, at most 2 units in the last place off; infinities and NaN as in C; out may be x.
  void (*exp)(const float* x, int64_t n, float* out);

  /// x += y.
  void (*add)(float* x, const float* y, int64_t n);

  /// Stores n floats as bfloat16 (FloatToBrain of each).
  void (*to_brain)(const float* x, int64_t n, uint16_t* out);

  /// One head's query, key or value in 8 bits: q = x * (1 / scale), rounded to the nearest integer, ties to
  /// even, with scale = max|x| / 127, so |q| <= 127; returns the scale. Where that would be below the
  /// smallest normal float32 all q are 0 and the scale is; where a number is a NaN or an infinity all q are 0
  /// and the scale is NaN. `q` has room for kQuantisedHeadRoom; what lies behind the first n is of no use.
  /// All sets give the same bits.
  float (*quantise_head)(const float* x, int64_t n, int8_t* q);

  /// Softmax-weighted values (arXiv 1706.03762). Numbers of a query row depend on that row's inputs only.
  /// Over KvFormat::kInt8 all sets give the same bits.
  void (*attention)(const AttentionTask& task);
};

/// The plain specification that the others are compared with.
const Kernels& ReferenceKernels();

/// The fastest set this machine can run; CONCLAVE_KERNELS=reference|avx2|avx512|avx512bf16 chooses another.
/// Chosen once.
const Kernels& BestKernels();

/// Whether BestKernels follows CONCLAVE_KERNELS: Ok when it does or the variable is unset or empty. Errors:
/// INVALID_ARGUMENT (no set of that name), FAILED_PRECONDITION (this machine cannot run it).
Status KernelChoice();

/// The set that `wanted` names ("": the fastest), for AvailableKernels. Errors as KernelChoice.
Result<const Kernels*> FindKernels(std::string_view wanted);

/// All sets this machine can run, the reference first.
std::vector<const Kernels*> AvailableKernels();

}  // namespace conclave::engine
