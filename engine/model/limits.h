#pragma once

#include <cstdint>

namespace conclave::engine {

/// What a model may declare. Far above every model known today; they stop absurd files before anything is
/// allocated.
inline constexpr int64_t kMaxLayers = 1024;
inline constexpr int64_t kMaxHidden = 1 << 17;
inline constexpr int64_t kMaxInner = 1 << 20;
inline constexpr int64_t kMaxExperts = 4096;
inline constexpr int64_t kMaxHeads = 1024;
inline constexpr int64_t kMaxHeadDim = 1024;
inline constexpr int64_t kMaxVocabulary = 4 << 20;
inline constexpr int64_t kMaxContext = int64_t{1} << 27;
inline constexpr double kMaxRopeTheta = 1e15;
inline constexpr double kMaxRopeFactor = 1e6;

/// RopeTable keeps this much precomputed; a row takes about a microsecond to compute.
inline constexpr int64_t kMaxRopeTableBytes = 1 << 20;

static_assert(kMaxHeadDim % 2 == 0 && kMaxRopeTableBytes >= kMaxHeadDim * 4);
static_assert(kMaxVocabulary <= INT32_MAX, "token ids are int32");

}  // namespace conclave::engine
