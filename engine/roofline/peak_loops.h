#pragma once

#include <cstdint>
#include <string_view>

#include "engine/roofline/machine_limits.h"

namespace conclave::engine {

/// One instruction, repeated on registers: kPeakChains independent sums, enough to fill two units of latency
/// 5, and few enough for the 16 registers of AVX2. Every product is -6, so the sums are known.
struct PeakLoop {
  std::string_view instruction;
  int64_t lanes;              ///< sums in a register
  int64_t products_per_lane;  ///< of one step
  bool (*supported)();
  double (*run)(int64_t steps);  ///< gives lane 0 of all chains, added up

  double ExpectedSum(int64_t steps) const;
  int64_t Operations(int64_t steps) const;
};

inline constexpr int kPeakChains = 12;

/// The first supported one, best first; the last of each kind runs on every x86-64 machine.
const PeakLoop& BestPeakLoop(Arithmetic arithmetic);

}  // namespace conclave::engine
