#include "engine/upcycle/router_fit.h"

#include <utility>

#include "engine/kernels/kernels.h"
#include "engine/model/load_weights.h"
#include "engine/upcycle/ridge_regression.h"

namespace conclave::engine {
namespace {

constexpr double kStrength = 0.01;
/// It ends sooner, when a round gains less than this share of all energy.
constexpr int kMostRounds = 12;
constexpr double kLeastGain = 2e-4;

/// 1 for a token's best groups, 0 for the others: [tokens, groups].
std::vector<float> BestGroups(std::span<const float> group_energies, int64_t groups, int64_t chosen) {
  std::vector<float> targets(group_energies.size());
  std::vector<int32_t> best;
  for (size_t first = 0; first < targets.size(); first += static_cast<size_t>(groups)) {
    SumOfBest(group_energies.subspan(first, static_cast<size_t>(groups)), chosen, best);
    for (const int32_t group : best) targets[first + group] = 1.0f;
  }
  return targets;
}

/// [tokens, groups]
Result<std::vector<float>> Logits(const std::vector<float>& router, std::span<const float> x, int64_t groups,
                                  ThreadPool& pool) {
  const int64_t hidden = static_cast<int64_t>(router.size()) / groups;
  const int64_t tokens = static_cast<int64_t>(x.size()) / hidden;
  CONCLAVE_ASSIGN_OR_RETURN(const PackedMatrix packed, PackNumbers(router, hidden));
  std::vector<float> logits(static_cast<size_t>(tokens * groups));
  pool.ParallelFor(tokens, 1, [&](int64_t begin, int64_t end) {
    BestKernels().matmul(packed, 0, groups, x.data() + begin * hidden, hidden, nullptr, end - begin,
                         logits.data() + begin * groups, groups);
  });
  return logits;
}

}  // namespace

KeptEnergy MeasureChoice(std::span<const float> logits, std::span<const float> group_energies, int64_t groups,
                         int64_t chosen) {
  double at_best = 0.0, by_router = 0.0, total = 0.0;
  std::vector<int32_t> best;
  for (size_t first = 0; first < logits.size(); first += static_cast<size_t>(groups)) {
    const std::span<const float> energies = group_energies.subspan(first, static_cast<size_t>(groups));
    SumOfBest(logits.subspan(first, static_cast<size_t>(groups)), chosen, best);
    for (const int32_t group : best) by_router += static_cast<double>(energies[group]);
    at_best += SumOfBest(energies, chosen, best);
    for (const float energy : energies) total += static_cast<double>(energy);
  }
  if (!(total > 0.0)) return {.at_best = 1.0, .by_router = 1.0};
  return {.at_best = at_best / total, .by_router = by_router / total};
}

Result<RoutedGroups> FitRouter(const NeuronEnergies& energies, std::vector<int32_t> group_of,
                               std::span<const float> x, int64_t groups, int64_t chosen, ThreadPool& pool) {
  const int64_t hidden = static_cast<int64_t>(x.size()) / energies.tokens;
  CONCLAVE_ASSIGN_OR_RETURN(const RidgeRegression regression,
                            RidgeRegression::Create(x, hidden, kStrength, pool));
  RoutedGroups best;
  for (int round = 0; round < kMostRounds; ++round) {
    const std::vector<float> group_energies = GroupEnergies(energies, group_of, groups, pool);
    CONCLAVE_ASSIGN_OR_RETURN(std::vector<float> router,
                              regression.Fit(BestGroups(group_energies, groups, chosen), groups, pool));
    CONCLAVE_ASSIGN_OR_RETURN(const std::vector<float> logits, Logits(router, x, groups, pool));
    const KeptEnergy kept = MeasureChoice(logits, group_energies, groups, chosen);
    const double gain = kept.by_router - best.kept.by_router;
    if (gain > 0.0) best = {.group_of = group_of, .router = std::move(router), .kept = kept};
    if (!(gain > kLeastGain)) break;
    group_of = RegroupNeurons(energies, logits, groups, chosen, pool);
  }
  return best;
}

}  // namespace conclave::engine
