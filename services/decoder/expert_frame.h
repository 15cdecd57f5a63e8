#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "conclave/v1/experts.pb.h"
#include "engine/model/feed_forward.h"

namespace conclave::decoder {

/// The input of a feed-forward layer as a tensor for the wire: 8-bit blocks as the kernels made them, or
/// float32.
v1::Tensor InputToWire(const engine::FeedForwardInput& input, int64_t hidden);

/// Copies a shard's answer [slices, tokens, hidden] to `out`.
/// Errors: INTERNAL naming the shape that came and the one that was expected.
Status OutputFromWire(const v1::Tensor& tensor, int64_t slices, int64_t tokens, int64_t hidden, float* out);

}  // namespace conclave::decoder
