#include "engine/upcycle/balanced_assignment.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace conclave::engine {
namespace {

/// Exchanges go on while something betters; a bound for utilities that rounding makes go in circles.
constexpr int kMostRounds = 50;

class Assignment {
 public:
  Assignment(std::span<const double> utility, int64_t groups)
      : utility_(utility),
        groups_(groups),
        items_(static_cast<int64_t>(utility.size()) / groups),
        group_of_(static_cast<size_t>(items_)),
        members_(static_cast<size_t>(groups)) {}

  void Greedy() {
    std::vector<double> regret(static_cast<size_t>(items_));
    for (int64_t item = 0; item < items_; ++item) regret[item] = Regret(item);
    std::vector<int32_t> order(static_cast<size_t>(items_));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return regret[a] > regret[b]; });
    std::vector<int64_t> room(static_cast<size_t>(groups_), items_ / groups_);
    for (const int32_t item : order) {
      int32_t best = -1;
      for (int32_t group = 0; group < groups_; ++group) {
        if (room[group] > 0 && (best < 0 || At(item, group) > At(item, best))) best = group;
      }
      group_of_[item] = best;
      --room[best];
    }
    for (int32_t item = 0; item < items_; ++item) members_[group_of_[item]].push_back(item);
  }

  /// Whether any pair of groups was bettered.
  bool Exchange() {
    bool bettered = false;
    for (int32_t a = 0; a < groups_; ++a) {
      for (int32_t b = a + 1; b < groups_; ++b) bettered = ExchangeBetween(a, b) || bettered;
    }
    return bettered;
  }

  std::vector<int32_t> Take() { return std::move(group_of_); }

 private:
  /// Of an item by moving to another group.
  struct Gain {
    double gain;
    int32_t item;
  };

  double At(int64_t item, int64_t group) const { return utility_[item * groups_ + group]; }

  double Regret(int64_t item) const {
    double best = -std::numeric_limits<double>::infinity(), second = best;
    for (int64_t group = 0; group < groups_; ++group) {
      const double value = At(item, group);
      second = std::max(second, std::min(best, value));
      best = std::max(best, value);
    }
    return groups_ == 1 ? 0.0 : best - second;
  }

  std::vector<Gain> GainsOf(int32_t from, int32_t to) const {
    std::vector<Gain> gains;
    for (const int32_t item : members_[from]) gains.push_back({At(item, to) - At(item, from), item});
    std::stable_sort(gains.begin(), gains.end(),
                     [](const Gain& a, const Gain& b) { return a.gain > b.gain; });
    return gains;
  }

  bool ExchangeBetween(int32_t a, int32_t b) {
    const std::vector<Gain> from_a = GainsOf(a, b), from_b = GainsOf(b, a);
    size_t i = 0;
    // What two roundings may make of nothing is no gain.
    for (; i < from_a.size(); ++i) {
      const double gain = from_a[i].gain + from_b[i].gain;
      if (!(gain > 1e-12 * (std::abs(from_a[i].gain) + std::abs(from_b[i].gain)))) break;
      group_of_[from_a[i].item] = b;
      group_of_[from_b[i].item] = a;
    }
    if (i == 0) return false;
    std::vector<int32_t> both = std::move(members_[a]);
    both.insert(both.end(), members_[b].begin(), members_[b].end());
    members_[a].clear();
    members_[b].clear();
    for (const int32_t item : both) members_[group_of_[item]].push_back(item);
    return true;
  }

  const std::span<const double> utility_;
  const int64_t groups_, items_;
  std::vector<int32_t> group_of_;
  std::vector<std::vector<int32_t>> members_;  ///< [groups]
};

}  // namespace

std::vector<int32_t> AssignBalanced(std::span<const double> utility, int64_t groups) {
  Assignment assignment(utility, groups);
  assignment.Greedy();
  for (int round = 0; round < kMostRounds && assignment.Exchange(); ++round) {
  }
  return assignment.Take();
}

}  // namespace conclave::engine
