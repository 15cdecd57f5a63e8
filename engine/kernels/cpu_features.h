#pragma once

namespace conclave::engine {

/// What this processor can run and the operating system saves on a task switch (Intel SDM volume 1, 13.2
/// and 14.3).
struct CpuFeatures {
  bool avx2 = false;         ///< AVX2, FMA and F16C
  bool avx512 = false;       ///< these, and AVX-512 F, BW, VL, DQ and VNNI
  bool avx512_bf16 = false;  ///< these, and AVX-512 BF16
};

CpuFeatures DetectCpuFeatures();

}  // namespace conclave::engine
