#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace conclave::decoder {

/// Where the experts of one feed-forward layer live: of each expert the shards, ascending.
using LayerHomes = std::vector<std::vector<int32_t>>;

/// What one layer asks for.
struct LayerDemand {
  std::vector<double> load;     ///< [experts]: the work of each, in any unit; at least 0
  std::vector<int64_t> places;  ///< [shards]: how many of the layer's experts fit there
  int64_t copies = 1;           ///< of each expert at least, where there are places and shards
};

/// Places a layer's experts so that its busiest shard has little more than the mean.
///
/// Replicas: places beyond one an expert go, one by one, to the expert with the most work for each of its
/// copies (which makes the largest such share as small as it can be), as long as that is more than
/// `kWorthACopy` of the shards' mean. Homes: the largest share first, each into the shard with the least work
/// that has a place and does not hold the expert yet. Where places do not bind, the busiest shard has at most
/// mean + largest share * (1 - 1 / shards), as list scheduling has (Graham 1969, "Bounds on multiprocessing
/// timing anomalies"); where they do, LevelledLoads says what it has.
///
/// `current` (may be empty): where the experts live now; of shards that are about equally busy the one that
/// holds an expert already keeps it. The same input gives the same homes.
///
/// Errors: RESOURCE_EXHAUSTED (fewer places than experts), INVALID_ARGUMENT (no shard, a load that is no
/// number or negative).
Result<LayerHomes> PlaceExperts(const LayerDemand& demand, const LayerHomes& current = {});

/// The work of each shard when every expert's is shared out among its homes so that none has more than it
/// must: [shards]. `homes` names shards below `shards` only.
std::vector<double> LevelledLoads(const LayerHomes& homes, std::span<const double> load, int64_t shards);

/// The busiest shard's work in multiples of the mean; 1 where there is no work.
double BusiestShare(std::span<const double> loads);

}  // namespace conclave::decoder
