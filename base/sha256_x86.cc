#include "base/sha256_blocks.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define CONCLAVE_TARGET_SHA __attribute__((target("sha,sse4.1,ssse3")))

namespace conclave {
namespace {

/// The state as the instructions want it: {a, b, e, f} and {c, d, g, h}, each from high to low lane.
struct State {
  __m128i abef, cdgh;
};

CONCLAVE_TARGET_SHA State LoadState(const std::array<uint32_t, 8>& s) {
  const auto lane = [&s](size_t i) { return static_cast<int>(s[i]); };
  return {_mm_set_epi32(lane(0), lane(1), lane(4), lane(5)),
          _mm_set_epi32(lane(2), lane(3), lane(6), lane(7))};
}

CONCLAVE_TARGET_SHA void StoreState(const State& state, std::array<uint32_t, 8>& s) {
  alignas(16) uint32_t abef[4];
  alignas(16) uint32_t cdgh[4];
  _mm_store_si128(reinterpret_cast<__m128i*>(abef), state.abef);
  _mm_store_si128(reinterpret_cast<__m128i*>(cdgh), state.cdgh);
  s = {abef[3], abef[2], cdgh[3], cdgh[2], abef[1], abef[0], cdgh[1], cdgh[0]};
}

/// Four rounds with four words of the schedule.
CONCLAVE_TARGET_SHA inline void FourRounds(State& state, __m128i words, const uint32_t* constants) {
  const __m128i sum = _mm_add_epi32(words, _mm_loadu_si128(reinterpret_cast<const __m128i*>(constants)));
  state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, sum);
  state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, _mm_shuffle_epi32(sum, 0x0E));
}

/// The next four words of the schedule from the last sixteen, oldest first.
CONCLAVE_TARGET_SHA inline __m128i NextWords(const __m128i* w) {
  const __m128i seven_back = _mm_alignr_epi8(w[3], w[2], 4);
  return _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w[0], w[1]), seven_back), w[3]);
}

CONCLAVE_TARGET_SHA void Blocks(std::array<uint32_t, 8>& s, const std::byte* blocks, size_t count) {
  const __m128i byte_order = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
  State state = LoadState(s);
  for (size_t block = 0; block < count; ++block, blocks += 64) {
    const State before = state;
    __m128i w[16];
    for (int i = 0; i < 4; ++i) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(blocks) + i);
      w[i] = _mm_shuffle_epi8(bytes, byte_order);
      FourRounds(state, w[i], kSha256Constants.data() + 4 * i);
    }
#pragma GCC unroll 12
    for (int i = 4; i < 16; ++i) {
      w[i] = NextWords(w + i - 4);
      FourRounds(state, w[i], kSha256Constants.data() + 4 * i);
    }
    state.abef = _mm_add_epi32(state.abef, before.abef);
    state.cdgh = _mm_add_epi32(state.cdgh, before.cdgh);
  }
  StoreState(state, s);
}

/// CPUID leaf 7 for the SHA instructions, leaf 1 for SSSE3 and SSE4.1.
bool HasShaInstructions() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return false;
  const bool has_shuffles = (c & bit_SSSE3) != 0 && (c & bit_SSE4_1) != 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  return has_shuffles && (b & bit_SHA) != 0;
}

}  // namespace

Sha256Blocks Sha256BlocksX86() { return HasShaInstructions() ? Blocks : nullptr; }

}  // namespace conclave

#else

namespace conclave {
Sha256Blocks Sha256BlocksX86() { return nullptr; }
}  // namespace conclave

#endif
