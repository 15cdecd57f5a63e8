#include "engine/kernels/cpu_features.h"

#include <cstdint>

#include <cpuid.h>

namespace conclave::engine {
namespace {

struct CpuId {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuId Query(uint32_t leaf, uint32_t part = 0) {
  CpuId id;
  if (__get_cpuid_count(leaf, part, &id.eax, &id.ebx, &id.ecx, &id.edx) == 0) return {};
  return id;
}

bool Bit(uint32_t word, int bit) { return (word >> bit & 1) != 0; }

uint32_t SavedRegisters() {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

constexpr uint32_t kSseAndAvxState = 0x06;
constexpr uint32_t kAvx512State = 0xE0;

}  // namespace

CpuFeatures DetectCpuFeatures() {
  const CpuId basic = Query(1);
  const CpuId extended = Query(7);
  const bool os_saves = Bit(basic.ecx, 27);
  const uint32_t saved = os_saves ? SavedRegisters() : 0;
  CpuFeatures features;
  features.avx2 = (saved & kSseAndAvxState) == kSseAndAvxState && Bit(basic.ecx, 28) && Bit(basic.ecx, 12) &&
                  Bit(basic.ecx, 29) && Bit(extended.ebx, 5);
  features.avx512 = features.avx2 && (saved & kAvx512State) == kAvx512State && Bit(extended.ebx, 16) &&
                    Bit(extended.ebx, 17) && Bit(extended.ebx, 30) && Bit(extended.ebx, 31) &&
                    Bit(extended.ecx, 11);
  features.avx512_bf16 = features.avx512 && Bit(Query(7, 1).eax, 5);
  return features;
}

}  // namespace conclave::engine
