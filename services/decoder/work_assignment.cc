#include "services/decoder/work_assignment.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include "services/decoder/limits.h"

namespace conclave::decoder {
namespace {

/// How many rows of a share each of several homes gets: [homes].
std::vector<int64_t> Split(const WorkShare& share, const std::vector<int32_t>& homes,
                           std::vector<int64_t>& busy) {
  std::vector<int64_t> rows(homes.size(), 0);
  for (int64_t left = share.rows(); left > 0;) {
    // A rest that is not worth a weight read of its own stays with the last part.
    const int64_t part = left < 2 * kRowsOfAWeightRead ? left : kRowsOfAWeightRead;
    size_t best = 0;
    const auto after = [&](size_t i) { return busy[homes[i]] + (rows[i] == 0 ? kRowsOfAWeightRead : 0); };
    for (size_t i = 1; i < homes.size(); ++i) {
      if (after(i) < after(best)) best = i;
    }
    busy[homes[best]] = after(best) + part;
    rows[best] += part;
    left -= part;
  }
  return rows;
}

}  // namespace

WorkAssignment AssignWork(std::span<const WorkShare> open, const std::vector<std::vector<int32_t>>& homes,
                          std::vector<int64_t> busy) {
  WorkAssignment out;
  out.shares.resize(busy.size());
  for (const WorkShare& share : open) {
    const std::vector<int32_t>& of_work = homes[share.work];
    if (of_work.empty()) out.homeless.push_back(share);
    if (of_work.size() != 1) continue;
    busy[of_work.front()] += share.rows() + kRowsOfAWeightRead;
    out.shares[of_work.front()].push_back(share);
  }
  std::vector<WorkShare> choices;
  std::ranges::copy_if(open, std::back_inserter(choices),
                       [&](const WorkShare& share) { return homes[share.work].size() > 1; });
  // The longest first: what is short fills the gaps.
  std::ranges::stable_sort(choices, std::ranges::greater(), &WorkShare::rows);
  for (const WorkShare& share : choices) {
    const std::vector<int32_t>& of_work = homes[share.work];
    const std::vector<int64_t> rows = Split(share, of_work, busy);
    int64_t begin = share.begin;
    for (size_t i = 0; i < of_work.size(); ++i) {
      if (rows[i] == 0) continue;
      out.shares[of_work[i]].push_back({.work = share.work, .begin = begin, .end = begin + rows[i]});
      begin += rows[i];
    }
  }
  for (auto& shares : out.shares) {
    std::ranges::sort(shares, {}, [](const WorkShare& share) { return std::pair(share.work, share.begin); });
  }
  return out;
}

}  // namespace conclave::decoder
