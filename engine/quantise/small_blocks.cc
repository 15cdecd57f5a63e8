#include <cstring>

#include "engine/quantise/affine_search.h"
#include "engine/quantise/block_quantisers.h"
#include "engine/quantise/code_layout.h"
#include "engine/quantise/number_rounding.h"
#include "engine/quantise/scale_search.h"

namespace conclave::engine {
namespace {

constexpr int64_t kBlock = 32;

void StoreHalf(float value, std::byte* out) {
  const uint16_t half = ToFiniteHalf(value);
  std::memcpy(out, &half, sizeof half);
}

}  // namespace

void QuantiseScaledBlock(DType dtype, const float* x, const float* weights, std::byte* out) {
  const CodeRange range = CodeRangeOf(dtype);
  const ScaleFit fit = FindHalfScale(x, weights, kBlock, range, FindScale(x, weights, kBlock, range));
  int8_t codes[kBlock];
  RoundToCodes(x, kBlock, range, fit.scale, codes);
  StoreHalf(fit.scale, out);
  WriteCodes(dtype, codes, out);
}

void QuantiseOffsetBlock(DType dtype, const float* x, const float* weights, std::byte* out) {
  const int highest = CodeRangeOf(dtype).highest;
  const AffineFit fit =
      FindHalfAffine(x, weights, kBlock, highest, FindAffine(x, weights, kBlock, highest, OffsetSign::kAny));
  int8_t codes[kBlock];
  RoundToAffineCodes(x, kBlock, highest, fit.scale, fit.offset, codes);
  StoreHalf(fit.scale, out);
  StoreHalf(fit.offset, out + 2);
  WriteCodes(dtype, codes, out);
}

void QuantiseBlock(DType dtype, const float* x, const float* weights, std::byte* out) {
  switch (dtype) {
    case DType::kQ4_1:
    case DType::kQ5_1: return QuantiseOffsetBlock(dtype, x, weights, out);
    case DType::kQ4_K:
    case DType::kQ5_K: return QuantiseMinimumSuperBlock(dtype, x, weights, out);
    case DType::kQ6_K: return QuantiseScaledSuperBlock(x, weights, out);
    default: return QuantiseScaledBlock(dtype, x, weights, out);
  }
}

}  // namespace conclave::engine
