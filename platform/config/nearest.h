#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace conclave::platform {

/// How many letters must be inserted, deleted, replaced or swapped with their neighbour to turn one text into
/// the other (Damerau 1964, optimal string alignment). Cost: the product of the lengths.
size_t EditDistance(std::string_view a, std::string_view b);

/// The candidate with the smallest edit distance, the first of equals; empty when there are no candidates.
std::string NearestTo(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace conclave::platform
