#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "conclave/v1/experts.pb.h"
#include "engine/model/feed_forward_shard.h"

namespace conclave::decoder {

/// Some of the tokens of a piece of work: those from `begin` to `end` of its own.
struct WorkShare {
  int32_t work = 0;  ///< its index
  int64_t begin = 0, end = 0;
  int64_t rows() const { return end - begin; }
  friend bool operator==(const WorkShare&, const WorkShare&) = default;
};

/// One frame for a shard, and where its answer belongs.
struct ExpertFrame {
  /// Rows of the outputs of all work.
  struct Piece {
    int64_t first_row = 0;
    int64_t rows = 0;
  };
  v1::ExchangeRequest request;    ///< without frame, layer and hash
  std::vector<Piece> pieces;      ///< in the order of the answer
  std::vector<WorkShare> shares;  ///< what they are, in the same order
  int64_t rows = 0;               ///< of the answer
};

/// The frames that ask a shard for its `shares` (ascending by work) of a layer's work: with the input's rows
/// that they read, as 8-bit blocks (as the kernels made them) or float32. A frame's answer has at most
/// `most_rows` rows.
std::vector<ExpertFrame> MakeFrames(const engine::FeedForwardInput& input,
                                    std::span<const engine::ExpertWork> work,
                                    std::span<const WorkShare> shares, int64_t hidden, int64_t most_rows);

/// Copies a shard's answer [rows, hidden] to where it belongs in `outputs` [rows of all work, hidden].
/// Errors: INTERNAL naming the size that came and the one that was expected.
Status TakeAnswer(const ExpertFrame& frame, const v1::Tensor& answer, int64_t hidden, float* outputs);

}  // namespace conclave::decoder
