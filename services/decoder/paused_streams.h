#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "services/decoder/sequence.h"

namespace conclave::decoder {

/// The client streams that were not ready for more when they were last asked, and since when. Keeps no stream
/// alive. Not thread-safe.
class PausedStreams {
 public:
  /// Asks every stream once, so that all sequences of one fare alike until the next time. A stream that is
  /// not among them is forgotten.
  void Ask(const std::set<std::shared_ptr<EventSink>>& streams, Clock::time_point now);

  bool Contains(const std::shared_ptr<EventSink>& stream) const { return since_.contains(stream); }

  /// Since when the one that was paused first is; nothing when none is.
  std::optional<Clock::time_point> OldestSince() const;

  /// Takes out those that have been paused since `latest` or longer.
  std::vector<std::shared_ptr<EventSink>> RemovePausedSince(Clock::time_point latest);

 private:
  /// By owner and not by address: an address may be used again.
  std::map<std::weak_ptr<EventSink>, Clock::time_point, std::owner_less<>> since_;
};

}  // namespace conclave::decoder
