#pragma once

#include <cstddef>

namespace conclave::platform {

/// Label combinations of one metric; more share the series "other".
inline constexpr size_t kMaxSeriesPerMetric = 1000;
/// What the HTTP server takes: a request's body, and connections that wait for a free thread.
inline constexpr size_t kMaxHttpBodyBytes = 64u << 10;
inline constexpr size_t kMaxHttpWaiting = 64;
inline constexpr size_t kHttpThreads = 8;
inline constexpr int kHttpTimeoutS = 2;

}  // namespace conclave::platform
