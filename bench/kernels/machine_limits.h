#pragma once

#include "bench/kernels/timing.h"
#include "engine/parallel/thread_pool.h"

namespace conclave::bench {

/// Bytes a second that all members read together from memory far larger than the caches.
Rates MeasureReadBandwidth(engine::ThreadPool& pool);

/// Operations a second (a multiplication and an addition each) of all members' 8-bit dot products on
/// registers; 0 on machines without VNNI.
Rates MeasureDotProductPeak(engine::ThreadPool& pool);

/// Regions a second that do nothing.
Rates MeasureRegions(engine::ThreadPool& pool);

}  // namespace conclave::bench
