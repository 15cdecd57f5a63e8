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
    tenant.charged_tokens = std::max(tenant.charged_tokens, virtual_time_);
  }
  tenant.waiting.push_back(ticket);
  ++queued_requests_;
  queued_tokens_ += ticket.tokens;
  return Status::Ok();
}

std::optional<Ticket> FairQueue::Next() {
  if (running_requests() >= limits_.running_requests) return std::nullopt;
  Tenant* next = nullptr;
  for (auto& [name, tenant] : tenants_) {
    if (tenant.waiting.empty()) continue;
    if (next == nullptr || tenant.charged_tokens < next->charged_tokens) next = &tenant;
  }
  if (next == nullptr) return std::nullopt;
  Ticket ticket = next->waiting.front();
  next->waiting.pop_front();
  virtual_time_ = std::max(virtual_time_, next->charged_tokens);
  next->charged_tokens += ticket.tokens;
  ++next->running;
  --queued_requests_;
  queued_tokens_ -= ticket.tokens;
  running_ids_.insert(ticket.id);
  return ticket;
}

void FairQueue::Finish(const Ticket& ticket, int64_t used_tokens) {
  if (running_ids_.erase(ticket.id) == 0) return;
  Tenant& tenant = tenants_[ticket.tenant];
  tenant.charged_tokens -= ticket.tokens - std::min(used_tokens, ticket.tokens);
  --tenant.running;
  Forget(ticket.tenant);
}

bool FairQueue::Remove(uint64_t id) {
  for (auto& [name, tenant] : tenants_) {
    auto it = std::find_if(tenant.waiting.begin(), tenant.waiting.end(),
                           [&](const Ticket& ticket) { return ticket.id == id; });
    if (it == tenant.waiting.end()) continue;
    --queued_requests_;
    queued_tokens_ -= it->tokens;
    tenant.waiting.erase(it);
    Forget(std::string(name));
    return true;
  }
  return false;
}

/// A tenant that neither waits nor runs, and owes nothing beyond the virtual time, needs no entry.
void FairQueue::Forget(const std::string& name) {
  const auto it = tenants_.find(name);
  if (it == tenants_.end()) return;
  const Tenant& tenant = it->second;
  if (tenant.waiting.empty() && tenant.running == 0 && tenant.charged_tokens <= virtual_time_)
    tenants_.erase(it);
}

}  // namespace conclave::router
