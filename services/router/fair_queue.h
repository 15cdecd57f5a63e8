#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/status.h"

namespace conclave::router {

/// A request that waits for its turn.
struct Ticket {
  uint64_t id = 0;
  std::string tenant;
  int64_t tokens = 0;   ///< what it may cost: prompt plus longest answers
  int64_t answers = 1;  ///< which run at once
};

struct FairQueueLimits {
  int64_t running_answers = 64;
  int64_t queued_requests = 256;
  int64_t queued_tokens = 1'000'000;
};

/// Who is served next: virtual-time fair queueing over tokens (Demers et al. 1989; VTC, arXiv 2401.00588).
/// Each tenant has a counter of the tokens it was given; the waiting tenant with the smallest counter goes
/// next, and one that was idle starts at the smallest counter of those that wait, so that idling saves up
/// nothing. A tenant's own requests go in the order they came. An idle tenant is remembered while it is ahead
/// of the others; of at most kMostIdleTenants, those that are the least ahead are forgotten first. Used by
/// one thread at a time.
class FairQueue {
 public:
  explicit FairQueue(const FairQueueLimits& limits) : limits_(limits) {}

  /// Errors: RESOURCE_EXHAUSTED with a retry hint when the queue is full by requests or by tokens.
  Status Add(const Ticket& ticket);

  /// The next ticket, now counted as running; nothing when none waits or its answers would be more than may
  /// run beside those that do. A request whose answers alone are more than may runs beside no other.
  std::optional<Ticket> Next();

  /// A running request ended, having used `used_tokens` of the `ticket.tokens` it was charged with. A ticket
  /// that does not run is ignored: its client may leave while its refusal is on the way.
  void Finish(const Ticket& ticket, int64_t used_tokens);

  /// Forgets a waiting ticket; whether there was one.
  bool Remove(uint64_t id);

  int64_t queued_requests() const { return queued_requests_; }
  int64_t queued_tokens() const { return queued_tokens_; }
  int64_t running_requests() const { return static_cast<int64_t>(running_ids_.size()); }
  /// Tenants that wait, run, or are remembered.
  int64_t known_tenants() const { return static_cast<int64_t>(tenants_.size()); }

 private:
  struct Tenant {
    std::deque<Ticket> waiting;
    int64_t charged_tokens = 0;
    int64_t running = 0;
  };

  void LeaveIfIdle(const std::string& name);
  void ForgetFirstIdle();

  FairQueueLimits limits_;
  std::map<std::string, Tenant> tenants_;
  std::set<std::pair<int64_t, std::string>> idle_;  ///< counters and names of tenants that do nothing
  int64_t virtual_time_ = 0;                        ///< the smallest counter that was served last
  int64_t queued_requests_ = 0;
  int64_t queued_tokens_ = 0;
  int64_t running_answers_ = 0;
  std::unordered_set<uint64_t> running_ids_;
};

}  // namespace conclave::router
