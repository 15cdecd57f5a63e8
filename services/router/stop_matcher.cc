#include "services/router/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace conclave::router {
namespace {

/// The longest end of `text` that is a beginning of `stop`, shorter than all of it.
size_t OverlapWithStart(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.substr(text.size() - length) == stop.substr(0, length)) return length;
  }
  return 0;
}

}  // namespace

std::string StopMatcher::Push(std::string_view part) {
  if (matched_) return {};
  held_ += part;
  size_t first_end = std::string::npos;
  size_t begin = 0;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at == std::string::npos) continue;
    const size_t end = at + stop.size();
    if (end > first_end || (end == first_end && at > begin)) continue;
    first_end = end;
    begin = at;
  }
  if (first_end != std::string::npos) {
    matched_ = true;
    held_.resize(begin);
    return std::exchange(held_, {});
  }
  size_t keep = 0;
  for (const std::string& stop : stops_) keep = std::max(keep, OverlapWithStart(held_, stop));
  std::string certain = held_.substr(0, held_.size() - keep);
  held_.erase(0, certain.size());
  return certain;
}

std::string StopMatcher::Flush() { return std::exchange(held_, {}); }

}  // namespace conclave::router
