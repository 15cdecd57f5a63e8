#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave::experts {

/// Tokens of one frame.
inline constexpr int64_t kMostFrameTokens = 4096;

}  // namespace conclave::experts
