#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/attention_task.h"
#include "engine/kernels/packed_matrix.h"

namespace conclave::engine {

// What the sets implement: plain pointers and numbers only. The files of a set are compiled for its
// instruction set, so an inline function of a shared class that one of them emitted could be the copy that
// the linker keeps for everybody, machines without that instruction set included. Hence no such class crosses
// this line.

/// Every block format that a stored format is packed into.
inline constexpr BlockFormat kBlockFormats[] = {
    {.nibbles = true, .zero_point = 8},
    {.nibbles = true, .offsets = true},
    {.nibbles = true, .float_scales = true, .offsets = true},
    {.zero_point = 16},
    {.offsets = true},
    {.float_scales = true, .offsets = true},
    {.float_scales = true, .half_groups = true, .zero_point = 32},
    {.zero_point = 128},
    {.nibbles = true, .float_scales = true, .zero_point = 16, .lookup = true},
};
inline constexpr int kBlockFormatCount = sizeof kBlockFormats / sizeof kBlockFormats[0];

/// matmul over quantised blocks. Weights start at the first wanted row, activations have `blocks` blocks a
/// token.
struct BlockMatmul {
  int format = 0;  ///< index in kBlockFormats
  const std::byte* weights = nullptr;
  int64_t group_bytes = 0;
  int64_t rows = 0;
  int64_t blocks = 0;
  const int8_t* q = nullptr;
  const float* scales = nullptr;
  const float* sums = nullptr;
  const int32_t* half_sums = nullptr;
  int64_t tokens = 0;
  float* out = nullptr;
  int64_t out_stride = 0;
};

/// Calls step(begin, end) for tokens [begin, end), pass by pass: the activations of a pass, whole tiles of
/// `tile_tokens`, take `pass_bytes` at most, or are one tile. `Step` must be local to a set's file (see
/// above).
template <typename Step>
inline __attribute__((always_inline)) void ForEachPass(const BlockMatmul& task, int64_t pass_bytes,
                                                       int64_t tile_tokens, Step step) {
  const int64_t token_bytes = task.blocks * kActivationBlock;
  int64_t pass = token_bytes > 0 ? pass_bytes / token_bytes / tile_tokens * tile_tokens : task.tokens;
  if (pass < tile_tokens) pass = tile_tokens;
  for (int64_t begin = 0; begin < task.tokens; begin += pass) {
    step(begin, begin + pass < task.tokens ? begin + pass : task.tokens);
  }
}

/// matmul over float weights.
struct FloatMatmul {
  PackedKind kind = PackedKind::kF32;
  const std::byte* weights = nullptr;
  int64_t group_bytes = 0;
  int64_t rows = 0;
  int64_t columns = 0;
  const float* x = nullptr;
  int64_t x_stride = 0;
  int64_t tokens = 0;
  float* out = nullptr;
  int64_t out_stride = 0;
};

/// One row to quantise, and where its blocks go.
struct QuantiseRow {
  const float* x = nullptr;
  int64_t columns = 0;
  int8_t* q = nullptr;
  float* scales = nullptr;
  float* sums = nullptr;
  int32_t* half_sums = nullptr;
};

/// The functions of one set; the contracts are those of Kernels.
struct RawKernels {
  const char* name;
  void (*quantise_row)(const QuantiseRow& row);
  void (*block_matmul)(const BlockMatmul& task);
  void (*float_matmul)(const FloatMatmul& task);
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int64_t n, float* out);
  void (*rope_halves)(float* x, int64_t heads, int64_t head_dim, int64_t dims, const float* cos_sin);
  void (*rope_interleaved)(float* x, int64_t heads, int64_t head_dim, int64_t dims, const float* cos_sin);
  void (*swiglu)(const float* gate, const float* up, int64_t n, float* out);
  void (*swiglu_clamped)(const float* gate, const float* up, float alpha, float limit, int64_t n, float* out);
  void (*exp)(const float* x, int64_t n, float* out);
  void (*add)(float* x, const float* y, int64_t n);
  void (*to_brain)(const float* x, int64_t n, uint16_t* out);
  float (*quantise_head)(const float* x, int64_t n, int8_t* q);
  void (*attention)(const AttentionTask& task);
};

extern const RawKernels kReferenceRaw;
extern const RawKernels kAvx2Raw;
extern const RawKernels kAvx512Raw;

}  // namespace conclave::engine
