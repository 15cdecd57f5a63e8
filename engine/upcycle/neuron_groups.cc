#include "engine/upcycle/neuron_groups.h"

#include <algorithm>
#include <numeric>

#include "engine/upcycle/balanced_assignment.h"

namespace conclave::engine {
namespace {

/// It ends sooner, when a round gains less than this share of what is kept.
constexpr int kMostRounds = 30;
constexpr double kLeastGain = 1e-4;

/// Tokens that groups are made from; more of them change little.
constexpr int64_t kMostTokens = 8192;

/// What neurons would be worth to groups if tokens chose as they do now.
struct Choice {
  double kept = 0.0;
  /// [groups]: the tokens that chose the group, or, where `most_choose`, those that did not.
  std::vector<std::vector<int32_t>> tokens;
  bool most_choose = false;
};

Choice Choose(std::span<const float> group_energies, int64_t groups, int64_t chosen, int64_t stride) {
  Choice choice{.kept = 0.0,
                .tokens = std::vector<std::vector<int32_t>>(static_cast<size_t>(groups)),
                .most_choose = 2 * chosen > groups};
  double total = 0.0, kept = 0.0;
  std::vector<int32_t> best;
  const auto tokens = static_cast<int64_t>(group_energies.size()) / groups;
  for (int64_t token = 0; token < tokens; ++token) {
    const std::span<const float> row = group_energies.subspan(token * groups, groups);
    kept += SumOfBest(row, chosen, best);
    for (const float energy : row) total += energy;
    std::vector<bool> chooses(static_cast<size_t>(groups));
    for (const int32_t group : best) chooses[group] = true;
    for (int64_t group = 0; group < groups; ++group) {
      if (chooses[group] != choice.most_choose)
        choice.tokens[group].push_back(static_cast<int32_t>(token * stride));
    }
  }
  choice.kept = total > 0.0 ? kept / total : 1.0;
  return choice;
}

/// [neurons, groups]: a neuron's energy on the tokens that chose the group; where most do, less all of its
/// energy, which is the same to every group.
std::vector<double> Utilities(const NeuronEnergies& energies, const Choice& choice, ThreadPool& pool) {
  const double sign = choice.most_choose ? -1.0 : 1.0;
  const auto groups = static_cast<int64_t>(choice.tokens.size());
  std::vector<double> utilities(static_cast<size_t>(energies.neurons * groups));
  pool.ParallelFor(groups, 1, [&](int64_t begin, int64_t end) {
    std::vector<double> sums(static_cast<size_t>(energies.neurons));
    for (int64_t group = begin; group < end; ++group) {
      std::fill(sums.begin(), sums.end(), 0.0);
      for (const int32_t token : choice.tokens[group]) {
        const float* row = energies.values.data() + token * energies.neurons;
        for (int64_t i = 0; i < energies.neurons; ++i) sums[i] += static_cast<double>(row[i]);
      }
      for (int64_t i = 0; i < energies.neurons; ++i) utilities[i * groups + group] = sign * sums[i];
    }
  });
  return utilities;
}

/// Neurons dealt out by falling mean energy, so that groups begin about equally strong and differ by chance.
std::vector<int32_t> Dealt(const NeuronEnergies& energies, int64_t groups) {
  std::vector<double> sums(static_cast<size_t>(energies.neurons));
  for (int64_t token = 0; token < energies.tokens; ++token) {
    const float* row = energies.values.data() + token * energies.neurons;
    for (int64_t i = 0; i < energies.neurons; ++i) sums[i] += static_cast<double>(row[i]);
  }
  std::vector<int32_t> order(static_cast<size_t>(energies.neurons));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return sums[a] > sums[b]; });
  std::vector<int32_t> group_of(order.size());
  for (size_t i = 0; i < order.size(); ++i) group_of[order[i]] = static_cast<int32_t>(i % groups);
  return group_of;
}

}  // namespace

std::vector<float> GroupEnergies(const NeuronEnergies& energies, std::span<const int32_t> group_of,
                                 int64_t groups, ThreadPool& pool, int64_t stride) {
  const int64_t tokens = (energies.tokens + stride - 1) / stride;
  std::vector<float> out(static_cast<size_t>(tokens * groups));
  pool.ParallelFor(tokens, 1, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      const float* row = energies.values.data() + token * stride * energies.neurons;
      float* sums = out.data() + token * groups;
      for (int64_t i = 0; i < energies.neurons; ++i) sums[group_of[i]] += row[i];
    }
  });
  return out;
}

double SumOfBest(std::span<const float> row, int64_t chosen, std::vector<int32_t>& best) {
  best.resize(row.size());
  std::iota(best.begin(), best.end(), 0);
  std::partial_sort(best.begin(), best.begin() + chosen, best.end(),
                    [&](int32_t a, int32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
  best.resize(static_cast<size_t>(chosen));
  double sum = 0.0;
  for (const int32_t i : best) sum += static_cast<double>(row[i]);
  return sum;
}

NeuronGroups GroupNeurons(const NeuronEnergies& energies, int64_t groups, int64_t chosen, ThreadPool& pool) {
  const int64_t stride = std::max<int64_t>(1, (energies.tokens + kMostTokens - 1) / kMostTokens);
  NeuronGroups best;
  std::vector<int32_t> group_of = Dealt(energies, groups);
  for (int round = 0; round < kMostRounds; ++round) {
    const Choice choice =
        Choose(GroupEnergies(energies, group_of, groups, pool, stride), groups, chosen, stride);
    const double gain = choice.kept - best.kept;
    if (best.group_of.empty() || gain > 0.0) best = {.group_of = group_of, .kept = choice.kept};
    if (!(gain > kLeastGain * choice.kept)) break;
    group_of = AssignBalanced(Utilities(energies, choice, pool), groups);
  }
  return best;
}

std::vector<int32_t> RegroupNeurons(const NeuronEnergies& energies, std::span<const float> scores,
                                    int64_t groups, int64_t chosen, ThreadPool& pool) {
  return AssignBalanced(Utilities(energies, Choose(scores, groups, chosen, 1), pool), groups);
}

}  // namespace conclave::engine
