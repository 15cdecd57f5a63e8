#pragma once

#include <vector>

#include "base/result.h"
#include "conclave/v1/experts.pb.h"
#include "engine/kernels/kernels.h"
#include "engine/model/feed_forward.h"

namespace conclave::experts {

/// One frame, in the form that the layer's weights read. Reused from frame to frame.
struct FrameInput {
  engine::FeedForwardInput input;        ///< points into the two below
  std::vector<engine::ExpertWork> work;  ///< points into `rows`
  int64_t output_rows = 0;               ///< of all work
  std::vector<int32_t> rows;
  engine::QuantisedRows blocks;
  std::vector<float> floats;
};

/// Reads and checks a frame's tensor for a layer whose weights read 8-bit blocks (`quantised`) or floats.
/// A number that is not finite is no error: it is its token's, and computed with as a function call would do
/// it. Errors: INVALID_ARGUMENT naming what came and what was expected.
Status ReadInput(const v1::Tensor& tensor, int64_t hidden, bool quantised, FrameInput& frame);

/// Reads and checks which experts of a layer a frame wants, once its input was read. Errors: INVALID_ARGUMENT
/// (experts or rows that are not ascending or not there), FAILED_PRECONDITION (an expert that lives
/// elsewhere).
Status ReadWork(const v1::ExchangeRequest& request, const engine::FeedForwardShard& shard, FrameInput& frame);

}  // namespace conclave::experts
