#pragma once

#include "engine/parallel/thread_pool.h"

namespace conclave::engine {

/// Bytes per second that the pool's members read together from memory: the best of several passes over a
/// buffer many times larger than any cache. Takes about 0.2 s.
double MeasureReadBandwidth(ThreadPool& pool);

}  // namespace conclave::engine
