#include "services/decoder/paused_streams.h"

#include <algorithm>
#include <utility>

namespace conclave::decoder {

void PausedStreams::Ask(const std::set<std::shared_ptr<EventSink>>& streams, Clock::time_point now) {
  const auto before = std::exchange(since_, {});
  for (const auto& stream : streams) {
    if (stream->Ready()) continue;
    const auto known = before.find(stream);
    since_.emplace(stream, known == before.end() ? now : known->second);
  }
}

std::optional<Clock::time_point> PausedStreams::OldestSince() const {
  const auto oldest = std::min_element(since_.begin(), since_.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (oldest == since_.end()) return std::nullopt;
  return oldest->second;
}

std::vector<std::shared_ptr<EventSink>> PausedStreams::RemovePausedSince(Clock::time_point latest) {
  std::vector<std::shared_ptr<EventSink>> removed;
  std::erase_if(since_, [&](const auto& entry) {
    if (entry.second > latest) return false;
    if (auto stream = entry.first.lock()) removed.push_back(std::move(stream));
    return true;
  });
  return removed;
}

}  // namespace conclave::decoder
