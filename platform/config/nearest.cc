#include "platform/config/nearest.h"

#include <algorithm>
#include <utility>

namespace conclave::platform {

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before_last(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string NearestTo(std::string_view word, const std::vector<std::string>& candidates) {
  // Only the start of a very long word is compared: it resembles nothing anyway.
  const std::string_view start = word.substr(0, 128);
  const auto nearest = std::min_element(candidates.begin(), candidates.end(),
                                        [&](const std::string& left, const std::string& right) {
                                          return EditDistance(start, left) < EditDistance(start, right);
                                        });
  return nearest == candidates.end() ? std::string() : *nearest;
}

}  // namespace conclave::platform
