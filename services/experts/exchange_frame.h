#pragma once

#include <vector>

#include "base/result.h"
#include "conclave/v1/experts.pb.h"
#include "engine/kernels/kernels.h"
#include "engine/model/feed_forward.h"

namespace conclave::experts {

/// The input of one frame, in the form that the layer's weights read. Reused from frame to frame.
struct FrameInput {
  engine::FeedForwardInput input;  ///< points into the two below
  engine::QuantisedRows blocks;
  std::vector<float> floats;
};

/// Reads and checks a frame's tensor for a layer whose weights read 8-bit blocks (`quantised`) or floats.
/// A number that is not finite is no error: it is its token's, and computed with as a function call would do
/// it. Errors: INVALID_ARGUMENT naming what came and what was expected.
Status ReadInput(const v1::Tensor& tensor, int64_t hidden, bool quantised, FrameInput& frame);

}  // namespace conclave::experts
