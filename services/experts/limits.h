#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave::experts {

/// Tokens of one frame.
inline constexpr int64_t kMostFrameTokens = 4096;
/// Of the answer to one frame.
inline constexpr int64_t kMostOutputBytes = int64_t{512} << 20;

}  // namespace conclave::experts
