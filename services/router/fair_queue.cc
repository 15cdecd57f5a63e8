#include "services/router/fair_queue.h"

#include <algorithm>

#include "services/router/limits.h"

namespace conclave::router {

Status FairQueue::Add(const Ticket& ticket) {
  const bool too_many = queued_requests_ >= limits_.queued_requests;
  // One request alone may be larger than the whole queue: it then waits alone.
  const bool too_large = queued_requests_ > 0 && queued_tokens_ + ticket.tokens > limits_.queued_tokens;
  if (too_many || too_large) {
    return ResourceExhausted("the queue is full: " + std::to_string(queued_requests_) + " requests with " +
                             std::to_string(queued_tokens_) + " tokens wait; try again later")
        .WithRetryAfterMs(kRetryAfterMs);
  }
  Tenant& tenant = tenants_[ticket.tenant];
  if (tenant.waiting.empty() && tenant.running == 0) {
    idle_.erase({tenant.charged_tokens, ticket.tenant});
    tenant.charged_tokens = std::max(tenant.charged_tokens, virtual_time_);
  }
  tenant.waiting.push_back(ticket);
  ++queued_requests_;
  queued_tokens_ += ticket.tokens;
  return Status::Ok();
}

std::optional<Ticket> FairQueue::Next() {
  Tenant* next = nullptr;
  for (auto& [name, tenant] : tenants_) {
    if (tenant.waiting.empty()) continue;
    if (next == nullptr || tenant.charged_tokens < next->charged_tokens) next = &tenant;
  }
  if (next == nullptr) return std::nullopt;
  const int64_t together = running_answers_ + next->waiting.front().answers;
  if (running_answers_ > 0 && together > limits_.running_answers) return std::nullopt;
  Ticket ticket = next->waiting.front();
  next->waiting.pop_front();
  virtual_time_ = std::max(virtual_time_, next->charged_tokens);
  while (!idle_.empty() && idle_.begin()->first <= virtual_time_) ForgetFirstIdle();
  next->charged_tokens += ticket.tokens;
  ++next->running;
  --queued_requests_;
  queued_tokens_ -= ticket.tokens;
  running_answers_ = together;
  running_ids_.insert(ticket.id);
  return ticket;
}

void FairQueue::Finish(const Ticket& ticket, int64_t used_tokens) {
  if (running_ids_.erase(ticket.id) == 0) return;
  running_answers_ -= ticket.answers;
  Tenant& tenant = tenants_[ticket.tenant];
  tenant.charged_tokens -= ticket.tokens - std::min(used_tokens, ticket.tokens);
  --tenant.running;
  LeaveIfIdle(ticket.tenant);
}

bool FairQueue::Remove(uint64_t id) {
  for (auto& [name, tenant] : tenants_) {
    auto it = std::find_if(tenant.waiting.begin(), tenant.waiting.end(),
                           [&](const Ticket& ticket) { return ticket.id == id; });
    if (it == tenant.waiting.end()) continue;
    --queued_requests_;
    queued_tokens_ -= it->tokens;
    tenant.waiting.erase(it);
    LeaveIfIdle(name);
    return true;
  }
  return false;
}

/// A tenant that neither waits nor runs, and owes nothing beyond the virtual time, needs no entry.
void FairQueue::LeaveIfIdle(const std::string& name) {
  const Tenant& tenant = tenants_.at(name);
  if (!tenant.waiting.empty() || tenant.running > 0) return;
  idle_.emplace(tenant.charged_tokens, name);
  const bool settled = idle_.begin()->first <= virtual_time_;
  if (settled || static_cast<int64_t>(idle_.size()) > kMostIdleTenants) ForgetFirstIdle();
}

void FairQueue::ForgetFirstIdle() {
  tenants_.erase(idle_.begin()->second);
  idle_.erase(idle_.begin());
}

}  // namespace conclave::router
