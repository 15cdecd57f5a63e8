#pragma once

#include <array>
#include <cstdint>

namespace conclave::engine {

/// Philox4x32-10, a counter-based random generator (Salmon et al., SC 2011): four 32-bit words for a key and
/// a counter, with no state in between, so that the number for a position is the same however the work before
/// it was done.
std::array<uint32_t, 4> Philox(uint64_t key, uint64_t counter_low, uint64_t counter_high);

/// A uniform number in [0, 1) with 53 random bits for the position `counter` of the stream `key`.
double UniformAt(uint64_t key, uint64_t counter);

}  // namespace conclave::engine
