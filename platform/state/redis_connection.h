#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <hiredis/hiredis.h>

#include "base/result.h"
#include "platform/config/address.h"

namespace conclave::platform {

struct RedisReplyDeleter {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using RedisReply = std::unique_ptr<redisReply, RedisReplyDeleter>;

struct RedisContextDeleter {
  void operator()(redisContext* context) const { redisFree(context); }
};
using RedisContext = std::unique_ptr<redisContext, RedisContextDeleter>;

/// A few connections to one Redis server, each used by one thread at a time. Any thread may call.
class RedisPool {
 public:
  RedisPool(Address address, int64_t timeout_ms) : address_(std::move(address)), timeout_(timeout_ms) {}

  /// Sends one command (any bytes) and waits for its reply, which is not an error. Errors: UNAVAILABLE (with
  /// a retry hint while reconnecting waits), RESOURCE_EXHAUSTED (Redis is out of memory), OUT_OF_RANGE (a
  /// counter overflows), FAILED_PRECONDITION (Redis wants a password, or is read-only).
  Result<RedisReply> Run(const std::vector<std::string_view>& words);

 private:
  using Clock = std::chrono::steady_clock;

  Result<RedisContext> Acquire();
  Result<RedisContext> Connect();
  void Release(RedisContext context);
  Status Unreachable(const std::string& reason) const;
  void NoteConnected(bool connected);

  const Address address_;
  const std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::condition_variable released_;
  // All below are guarded by mutex_.
  std::vector<RedisContext> idle_;
  int in_use_ = 0;
  std::chrono::milliseconds backoff_{0};
  Clock::time_point next_attempt_{};
};

}  // namespace conclave::platform
