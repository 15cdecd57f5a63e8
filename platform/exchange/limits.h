#pragma once

#include <cstddef>

namespace conclave::platform {

/// Of each ring of a channel: small enough to stay in a processor's cache, large enough for the frames of a
/// step of a hundred tokens. Larger messages pass in parts.
inline constexpr size_t kRingBytes = size_t{1} << 20;
/// Messages that came while this side was sending.
inline constexpr size_t kMostReadyMessages = 256;

}  // namespace conclave::platform
