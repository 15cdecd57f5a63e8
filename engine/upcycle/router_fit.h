#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/parallel/thread_pool.h"
#include "engine/upcycle/neuron_groups.h"

namespace conclave::engine {

/// Which share of all energy tokens keep.
struct KeptEnergy {
  double at_best = 0.0;    ///< that use the groups which are best for each
  double by_router = 0.0;  ///< that use the groups of the router's highest logits
};

/// Groups of neurons and a router that tells a token's.
struct RoutedGroups {
  std::vector<int32_t> group_of;  ///< [neurons]
  std::vector<float> router;      ///< [groups, hidden]
  KeptEnergy kept;
};

/// Fits a router whose highest `chosen` logits W x tell the groups that keep most of a token's energy: ridge
/// regression, on its input x [tokens, hidden], of 1 for each of its `chosen` best groups and 0 for the
/// others. Then neurons move to the groups that the router chooses for the tokens they matter to, and it is
/// fitted again, as long as that keeps more: groups become such as a router can tell. `group_of` [neurons] is
/// where it starts. Errors: those of RidgeRegression.
Result<RoutedGroups> FitRouter(const NeuronEnergies& energies, std::vector<int32_t> group_of,
                               std::span<const float> x, int64_t groups, int64_t chosen, ThreadPool& pool);

/// What tokens keep that use `chosen` groups, by the router's `logits` [tokens, groups] and by the groups'
/// energies themselves [tokens, groups].
KeptEnergy MeasureChoice(std::span<const float> logits, std::span<const float> group_energies, int64_t groups,
                         int64_t chosen);

}  // namespace conclave::engine
