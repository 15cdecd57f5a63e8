#include "platform/state/redis_connection.h"

#include <algorithm>
#include <utility>

#include <poll.h>

#include "platform/state/limits.h"

namespace conclave::platform {
namespace {

constexpr std::chrono::milliseconds kFirstBackoff{50};
constexpr std::chrono::milliseconds kLongestBackoff{2000};

timeval ToTimeval(std::chrono::milliseconds duration) {
  return {static_cast<time_t>(duration.count() / 1000),
          static_cast<suseconds_t>(duration.count() % 1000 * 1000)};
}

/// An idle connection has nothing to say; when it is readable, the server has closed it.
bool IsClosed(const redisContext& context) {
  pollfd descriptor{context.fd, POLLIN, 0};
  return poll(&descriptor, 1, 0) != 0;
}

Status FromErrorReply(std::string_view text) {
  const std::string message = "Redis answered: " + std::string(text.substr(0, 256));
  if (text.find("overflow") != std::string_view::npos) return OutOfRange("the counter would not fit 64 bits");
  if (text.starts_with("OOM")) return ResourceExhausted(message);
  if (text.starts_with("NOAUTH") || text.starts_with("READONLY") || text.starts_with("NOPERM")) {
    return FailedPrecondition(message);
  }
  return Unavailable(message);
}

}  // namespace

Status RedisPool::Unreachable(const std::string& reason) const {
  return Unavailable("Redis at " + address_.ToString() + ": " + reason)
      .WithRetryAfterMs(std::max<int64_t>(backoff_.count(), kFirstBackoff.count()));
}

void RedisPool::NoteConnected(bool connected) {
  backoff_ =
      connected ? std::chrono::milliseconds(0) : std::clamp(backoff_ * 2, kFirstBackoff, kLongestBackoff);
  next_attempt_ = Clock::now() + backoff_;
}

Result<RedisContext> RedisPool::Connect() {
  const timeval timeout = ToTimeval(timeout_);
  RedisContext context(address_.kind == Address::Kind::kUnix
                           ? redisConnectUnixWithTimeout(address_.name.c_str(), timeout)
                           : redisConnectWithTimeout(address_.name.c_str(), address_.port, timeout));
  const bool connected =
      context != nullptr && context->err == 0 && redisSetTimeout(context.get(), timeout) == REDIS_OK;
  std::lock_guard lock(mutex_);
  NoteConnected(connected);
  if (connected) return context;
  return Unreachable(context == nullptr ? "out of memory" : context->errstr);
}

Result<RedisContext> RedisPool::Acquire() {
  {
    std::unique_lock lock(mutex_);
    if (!released_.wait_for(lock, timeout_, [&] { return in_use_ < kMaxRedisConnections; })) {
      return Unreachable("all connections are busy");
    }
    while (!idle_.empty()) {
      RedisContext context = std::move(idle_.back());
      idle_.pop_back();
      if (IsClosed(*context)) continue;
      ++in_use_;
      return context;
    }
    if (Clock::now() < next_attempt_)
      return Unreachable("the last attempt to connect failed; waiting before the next");
    ++in_use_;
  }
  Result<RedisContext> context = Connect();
  if (!context.ok()) Release(nullptr);
  return context;
}

void RedisPool::Release(RedisContext context) {
  std::lock_guard lock(mutex_);
  --in_use_;
  if (context != nullptr && context->err == 0) idle_.push_back(std::move(context));
  released_.notify_one();
}

Result<RedisReply> RedisPool::Run(const std::vector<std::string_view>& words) {
  std::vector<const char*> starts;
  std::vector<size_t> sizes;
  for (const std::string_view word : words) {
    starts.push_back(word.empty() ? "" : word.data());
    sizes.push_back(word.size());
  }
  CONCLAVE_ASSIGN_OR_RETURN(RedisContext context, Acquire());
  RedisReply reply(static_cast<redisReply*>(
      redisCommandArgv(context.get(), static_cast<int>(words.size()), starts.data(), sizes.data())));
  const std::string failure = reply == nullptr ? context->errstr : "";
  Release(std::move(context));
  if (reply == nullptr) {
    std::lock_guard lock(mutex_);
    return Unreachable(failure);
  }
  if (reply->type == REDIS_REPLY_ERROR) return FromErrorReply({reply->str, reply->len});
  return reply;
}

}  // namespace conclave::platform
