#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "services/decoder/expert_frame.h"

namespace conclave::decoder {

/// Shares of a layer's work for each shard, and those that no shard can do.
struct WorkAssignment {
  std::vector<std::vector<WorkShare>> shares;  ///< [shards], ascending by work
  std::vector<WorkShare> homeless;
};

/// Shares out work among the shards where its expert lives, so that none has much more to do than the others:
/// work with one home first, then what has several, each to the one with the least to do, in parts where it
/// is long. What a shard has to do is counted in rows; reading an expert's weights counts as
/// kRowsOfAWeightRead more. `homes` [work]: of each piece the shards; `busy` [shards]: rows that they have to
/// do already.
WorkAssignment AssignWork(std::span<const WorkShare> open, const std::vector<std::vector<int32_t>>& homes,
                          std::vector<int64_t> busy);

}  // namespace conclave::decoder
