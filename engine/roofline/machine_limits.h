#pragma once

#include <cstdint>
#include <string_view>

#include "engine/parallel/thread_pool.h"
#include "engine/roofline/rates.h"

namespace conclave::engine {

/// How long a measurement takes. The defaults suit a report; tests take less.
struct Effort {
  int rounds = 5;
  double round_s = 0.2;
  int64_t read_bytes = int64_t{512} << 20;  ///< much more than any cache; a multiple of 1 MiB
};

/// The kinds of arithmetic that the kernels are made of.
enum class Arithmetic { kInt8, kBf16, kFp32 };

struct Peak {
  Rates operations_per_s;        ///< of all members together; a multiplication and an addition are two
  std::string_view instruction;  ///< the one measured, for example "vpdpbusd zmm"
};

/// Bytes a second that the pool's members read together from memory.
Rates MeasureReadBandwidth(ThreadPool& pool, const Effort& effort = {});

/// Operations a second on registers, nothing loaded or stored, with the best instruction of this machine for
/// that arithmetic. A machine without one for bfloat16 multiplies float32 numbers, as its kernels would; the
/// instruction says so. Rates of 0 when the instruction gave a wrong sum, which is checked first.
Peak MeasurePeak(Arithmetic arithmetic, ThreadPool& pool, const Effort& effort = {});

/// Parallel regions a second that do nothing.
Rates MeasureRegions(ThreadPool& pool, const Effort& effort = {});

}  // namespace conclave::engine
