#pragma once

#include "engine/kernels/kernels.h"
#include "engine/kernels/raw_kernels.h"

namespace conclave::engine {

/// The place of a packed matrix' format in kBlockFormats.
inline int IndexOf(const BlockFormat& format) {
  int index = 0;
  while (!(kBlockFormats[index] == format)) ++index;
  return index;
}

/// A set's raw functions behind the interface of Kernels. Only files for plain x86-64 may include this.
template <const RawKernels& kRaw>
struct Adapter {
  static void QuantiseRowOf(const float* x, int64_t row, QuantisedRows& out) {
    const int64_t first = row * out.blocks();
    kRaw.quantise_row({.x = x,
                       .columns = out.columns,
                       .q = out.q.data() + first * kActivationBlock,
                       .scales = out.scales.data() + first,
                       .sums = out.sums.data() + first,
                       .half_sums = out.half_sums.data() + first * 2});
  }

  static void Matmul(const PackedMatrix& w, int64_t row_begin, int64_t row_end, const float* x,
                     int64_t x_stride, const QuantisedRows* x8, int64_t tokens, float* out,
                     int64_t out_stride) {
    const std::byte* weights = w.data() + row_begin / kRowGroup * w.group_bytes();
    if (w.quantised()) {
      kRaw.block_matmul({.format = IndexOf(w.block_format()),
                         .weights = weights,
                         .group_bytes = w.group_bytes(),
                         .rows = row_end - row_begin,
                         .blocks = w.columns() / kActivationBlock,
                         .q = x8->q.data(),
                         .scales = x8->scales.data(),
                         .sums = x8->sums.data(),
                         .half_sums = x8->half_sums.data(),
                         .tokens = tokens,
                         .out = out + row_begin,
                         .out_stride = out_stride});
    } else {
      kRaw.float_matmul({.kind = w.kind(),
                         .weights = weights,
                         .group_bytes = w.group_bytes(),
                         .rows = row_end - row_begin,
                         .columns = w.columns(),
                         .x = x,
                         .x_stride = x_stride,
                         .tokens = tokens,
                         .out = out + row_begin,
                         .out_stride = out_stride});
    }
  }

  static void Rope(float* x, int64_t heads, int64_t head_dim, int64_t dims, RopeLayout layout,
                   const float* cos_sin) {
    const auto rotate = layout == RopeLayout::kHalves ? kRaw.rope_halves : kRaw.rope_interleaved;
    rotate(x, heads, head_dim, dims, cos_sin);
  }

  static Kernels Make() {
    return {.name = kRaw.name,
            .quantise_row = QuantiseRowOf,
            .matmul = Matmul,
            .rms_norm = kRaw.rms_norm,
            .rope = Rope,
            .swiglu = kRaw.swiglu,
            .swiglu_clamped = kRaw.swiglu_clamped,
            .exp = kRaw.exp,
            .add = kRaw.add,
            .to_brain = kRaw.to_brain,
            .quantise_head = kRaw.quantise_head,
            .attention = kRaw.attention};
  }
};

}  // namespace conclave::engine
