#include "services/decoder/expert_placement.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

namespace conclave::decoder {
namespace {

/// A copy costs memory, and its weights are read once more in every step.
constexpr double kWorthACopy = 0.1;
/// Shards whose work differs by less than this part of the mean are about equally busy.
constexpr double kAboutEqual = 0.02;
/// Rounds of sharing out; each brings the homes of one expert level.
constexpr int kMostRounds = 100;

Status Check(const LayerDemand& demand) {
  if (demand.places.empty()) return InvalidArgument("there is no shard to place experts in");
  for (size_t expert = 0; expert < demand.load.size(); ++expert) {
    if (std::isfinite(demand.load[expert]) && demand.load[expert] >= 0.0) continue;
    return InvalidArgument("the load of expert " + std::to_string(expert) + " is " +
                           std::to_string(demand.load[expert]));
  }
  const int64_t places = std::accumulate(demand.places.begin(), demand.places.end(), int64_t{0});
  const auto experts = static_cast<int64_t>(demand.load.size());
  if (places >= experts) return Status::Ok();
  return ResourceExhausted("the layer's " + std::to_string(experts) + " experts need as many places; the " +
                           std::to_string(demand.places.size()) + " shards have " + std::to_string(places));
}

/// How many copies of each expert there are to be.
std::vector<int64_t> Copies(const LayerDemand& demand, double mean) {
  const auto shards = static_cast<int64_t>(demand.places.size());
  std::vector<int64_t> copies(demand.load.size(), 1);
  int64_t left = std::accumulate(demand.places.begin(), demand.places.end(), int64_t{0}) -
                 static_cast<int64_t>(copies.size());
  const auto share = [&](size_t expert) { return demand.load[expert] / static_cast<double>(copies[expert]); };
  const auto add = [&](const auto& wanted) {
    while (left > 0) {
      int64_t best = -1;
      for (size_t expert = 0; expert < copies.size(); ++expert) {
        if (copies[expert] >= shards || !wanted(expert)) continue;
        if (best < 0 || share(expert) > share(best)) best = static_cast<int64_t>(expert);
      }
      if (best < 0) return;
      ++copies[best];
      --left;
    }
  };
  add([&](size_t expert) { return copies[expert] < demand.copies; });
  add([&](size_t expert) { return share(expert) > kWorthACopy * mean; });
  return copies;
}

/// The shards on the way to a placement.
class Shards {
 public:
  Shards(const LayerDemand& demand, const LayerHomes& current, double mean)
      : left_(demand.places),
        loads_(demand.places.size(), 0.0),
        current_(current),
        slack_(kAboutEqual * mean) {}

  /// The shard for one more copy of an expert, -1 where there is none.
  int32_t Choose(size_t expert, const std::vector<int32_t>& homes) const {
    const auto open = [&](size_t shard) {
      return left_[shard] > 0 && std::ranges::find(homes, static_cast<int32_t>(shard)) == homes.end();
    };
    int32_t least = -1;
    for (size_t shard = 0; shard < loads_.size(); ++shard) {
      if (open(shard) && (least < 0 || loads_[shard] < loads_[least])) least = static_cast<int32_t>(shard);
    }
    if (least < 0 || expert >= current_.size()) return least;
    for (const int32_t shard : current_[expert]) {
      const bool there = static_cast<size_t>(shard) < loads_.size() && open(shard);
      if (there && loads_[shard] <= loads_[least] + slack_) return shard;
    }
    return least;
  }

  void Take(int32_t shard, double load) {
    --left_[shard];
    loads_[shard] += load;
  }

 private:
  std::vector<int64_t> left_;  ///< places
  std::vector<double> loads_;
  const LayerHomes& current_;
  const double slack_;
};

/// Moves work among the homes of one expert until they are level, as far as the expert's work goes.
/// `parts` [homes]: what of the expert's work each has. Returns how much was moved.
double Level(const std::vector<int32_t>& homes, double work, std::vector<double>& parts,
             std::vector<double>& loads) {
  for (size_t i = 0; i < homes.size(); ++i) loads[homes[i]] -= parts[i];
  std::vector<double> others;
  for (const int32_t home : homes) others.push_back(loads[home]);
  std::ranges::sort(others);
  // The level up to which the work fills the emptiest homes.
  double sum = 0.0, level = 0.0;
  for (size_t i = 0; i < others.size(); ++i) {
    sum += others[i];
    level = (work + sum) / static_cast<double>(i + 1);
    if (i + 1 == others.size() || level <= others[i + 1]) break;
  }
  double moved = 0.0;
  for (size_t i = 0; i < homes.size(); ++i) {
    const double part = std::max(0.0, level - loads[homes[i]]);
    moved += std::abs(part - parts[i]);
    parts[i] = part;
    loads[homes[i]] += part;
  }
  return moved;
}

}  // namespace

Result<LayerHomes> PlaceExperts(const LayerDemand& demand, const LayerHomes& current) {
  CONCLAVE_RETURN_IF_ERROR(Check(demand));
  const double total = std::accumulate(demand.load.begin(), demand.load.end(), 0.0);
  const double mean = total / static_cast<double>(demand.places.size());
  const std::vector<int64_t> copies = Copies(demand, mean);
  const auto share = [&](size_t expert) { return demand.load[expert] / static_cast<double>(copies[expert]); };
  std::vector<size_t> order(copies.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return share(a) > share(b); });

  Shards shards(demand, current, mean);
  LayerHomes homes(copies.size());
  // First one copy of each, so that further ones take nobody's only place.
  for (const bool first : {true, false}) {
    for (const size_t expert : order) {
      const int64_t wanted = first ? 1 : copies[expert];
      while (static_cast<int64_t>(homes[expert].size()) < wanted) {
        const int32_t shard = shards.Choose(expert, homes[expert]);
        if (shard < 0) break;
        shards.Take(shard, share(expert));
        homes[expert].push_back(shard);
      }
    }
  }
  for (auto& of_expert : homes) std::ranges::sort(of_expert);
  return homes;
}

std::vector<double> LevelledLoads(const LayerHomes& homes, std::span<const double> load, int64_t shards) {
  std::vector<double> loads(shards, 0.0);
  std::vector<std::vector<double>> parts;
  for (size_t expert = 0; expert < homes.size(); ++expert) {
    const double part = load[expert] / static_cast<double>(homes[expert].size());
    parts.emplace_back(homes[expert].size(), part);
    for (const int32_t home : homes[expert]) loads[home] += part;
  }
  const double total = std::accumulate(load.begin(), load.end(), 0.0);
  for (int round = 0; round < kMostRounds; ++round) {
    double moved = 0.0;
    for (size_t expert = 0; expert < homes.size(); ++expert) {
      if (homes[expert].size() > 1) moved += Level(homes[expert], load[expert], parts[expert], loads);
    }
    if (moved <= 1e-9 * total) break;
  }
  return loads;
}

double BusiestShare(std::span<const double> loads) {
  const double total = std::accumulate(loads.begin(), loads.end(), 0.0);
  if (total <= 0.0) return 1.0;
  return *std::ranges::max_element(loads) * static_cast<double>(loads.size()) / total;
}

}  // namespace conclave::decoder
