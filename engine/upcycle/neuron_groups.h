#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/parallel/thread_pool.h"

namespace conclave::engine {

/// How much each neuron of a feed-forward block counts for each token of a text: [tokens, neurons], at least
/// 0. Of neuron j with activation h and column d of the down projection it is h^2 |d|^2, what leaving the
/// neuron out adds to the squared error of the block's output where neurons are independent.
struct NeuronEnergies {
  std::vector<float> values;
  int64_t tokens = 0;
  int64_t neurons = 0;
};

/// Groups of equal size.
struct NeuronGroups {
  std::vector<int32_t> group_of;  ///< [neurons]
  double kept = 0.0;  ///< of the sample's energy, by the `chosen` best groups of every token; at most 1
};

/// The energies of groups for every `stride`-th token: [tokens, groups].
std::vector<float> GroupEnergies(const NeuronEnergies& energies, std::span<const int32_t> group_of,
                                 int64_t groups, ThreadPool& pool, int64_t stride = 1);

/// The sum of a row's `chosen` largest numbers, and in `best` [chosen] which they are; of equal ones the
/// lower comes first.
double SumOfBest(std::span<const float> row, int64_t chosen, std::vector<int32_t>& best);

/// Puts neurons into `groups` groups of equal size so that a token's `chosen` best groups keep as much of its
/// energy as alternation finds: each token takes the groups that are best for it, then neurons move to groups
/// whose tokens they matter to (AssignBalanced), until nothing is gained. Neurons that are active together
/// end in one group. Of a long text an even sample of 8,192 tokens or fewer is used. `neurons` is a multiple
/// of `groups`. The same energies give the same groups, whatever the pool.
NeuronGroups GroupNeurons(const NeuronEnergies& energies, int64_t groups, int64_t chosen, ThreadPool& pool);

/// The groups that are best for tokens which choose among `groups` groups by the highest `chosen` of their
/// `scores` [tokens, groups], whatever the groups' energies: one of GroupNeurons' steps, for another choice.
std::vector<int32_t> RegroupNeurons(const NeuronEnergies& energies, std::span<const float> scores,
                                    int64_t groups, int64_t chosen, ThreadPool& pool);

}  // namespace conclave::engine
