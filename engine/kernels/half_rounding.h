#pragma once

#include <cstdint>

namespace conclave::engine {

/// The IEEE 754 binary16 number nearest to `value`, ties to even: what vcvtps2ph gives. Too large becomes
/// infinity; a NaN keeps the upper ten bits of its payload and becomes quiet.
uint16_t FloatToHalf(float value);

/// The bfloat16 number nearest to `value`, ties to even. A NaN keeps the upper bits of its payload and
/// becomes quiet.
uint16_t FloatToBrain(float value);

}  // namespace conclave::engine
