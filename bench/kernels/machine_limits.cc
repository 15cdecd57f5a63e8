#include "bench/kernels/machine_limits.h"

#include <cstdint>
#include <vector>

#include <immintrin.h>

#include "engine/kernels/cpu_features.h"

namespace conclave::bench {
namespace {

constexpr int kRounds = 7;
constexpr double kRoundSeconds = 0.3;

__attribute__((target("avx2"))) int64_t ReadAll(const std::byte* begin, const std::byte* end) {
  __m256i sums[4] = {};
  for (const std::byte* at = begin; at + 128 <= end; at += 128) {
    for (int i = 0; i < 4; ++i) {
      sums[i] = _mm256_xor_si256(sums[i], _mm256_load_si256(reinterpret_cast<const __m256i*>(at) + i));
    }
    _mm_prefetch(reinterpret_cast<const char*>(at + 4096), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(at + 4096 + 64), _MM_HINT_T0);
  }
  const __m256i all =
      _mm256_xor_si256(_mm256_xor_si256(sums[0], sums[1]), _mm256_xor_si256(sums[2], sums[3]));
  return _mm256_extract_epi64(all, 0);
}

constexpr int64_t kDotRounds = 100000;
constexpr int kDotChains = 16;

__attribute__((target("avx512f,avx512vnni"))) int DotProducts() {
  __m512i sums[kDotChains];
  const __m512i weights = _mm512_set1_epi8(3);
  const __m512i x = _mm512_set1_epi8(-2);
#pragma GCC unroll 16
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (int64_t round = 0; round < kDotRounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kDotChains; ++i) {
      sums[i] = _mm512_dpbusd_epi32(sums[i], weights, x);
      __asm__ volatile("" : "+v"(sums[i]));  // keeps the compiler from adding up ahead
    }
  }
  __m512i all = sums[0];
#pragma GCC unroll 16
  for (int i = 1; i < kDotChains; ++i) all = _mm512_xor_si512(all, sums[i]);
  return _mm_cvtsi128_si32(_mm512_castsi512_si128(all));
}

Rates Times(Rates rates, double factor) { return {rates.median * factor, rates.best * factor}; }

}  // namespace

Rates MeasureReadBandwidth(engine::ThreadPool& pool) {
  constexpr int64_t kBytes = 512 << 20;
  std::vector<std::byte> memory(kBytes + 64, std::byte{1});
  const auto* aligned =
      reinterpret_cast<const std::byte*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~63ull);
  std::vector<int64_t> results(static_cast<size_t>(pool.size()) * 8);
  const Rates passes = Measure(kRounds, kRoundSeconds, [&] {
    pool.ParallelFor(kBytes, 1 << 20, [&](int64_t begin, int64_t end) {
      const int64_t result = ReadAll(aligned + begin, aligned + end);
      __asm__ volatile("" : : "r"(result));
    });
  });
  return Times(passes, kBytes);
}

Rates MeasureDotProductPeak(engine::ThreadPool& pool) {
  if (!engine::DetectCpuFeatures().avx512) return {};
  const Rates calls = Measure(kRounds, kRoundSeconds, [&] {
    pool.Run([](int) {
      const int result = DotProducts();
      __asm__ volatile("" : : "r"(result));
    });
  });
  return Times(calls, static_cast<double>(kDotRounds * kDotChains * 64 * 2 * pool.size()));
}

Rates MeasureRegions(engine::ThreadPool& pool) {
  constexpr int kRegions = 1000;
  const Rates calls = Measure(kRounds, kRoundSeconds, [&] {
    for (int i = 0; i < kRegions; ++i) pool.Run([](int) {});
  });
  return Times(calls, kRegions);
}

}  // namespace conclave::bench
