#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace conclave::engine {

/// Puts every item into one of `groups` groups, equally many into each, so that the sum of utilities is high:
/// first greedily, those items before others that lose most where they do not get their best group, then by
/// exchanges between pairs of groups until none helps. Not always the best there is, but no exchange of two
/// items betters it. `utility` [items, groups], finite, items a multiple of groups. Returns each item's
/// group; where utilities are equal, the lower number wins.
std::vector<int32_t> AssignBalanced(std::span<const double> utility, int64_t groups);

}  // namespace conclave::engine
