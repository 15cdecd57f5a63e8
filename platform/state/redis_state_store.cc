#include <cstdlib>
#include <string>
#include <utility>

#include "platform/config/address.h"
#include "platform/identity.h"
#include "platform/state/limits.h"
#include "platform/state/open_state_store.h"
#include "platform/state/redis_connection.h"
#include "platform/storage/durable_store.h"

namespace conclave::platform {
namespace {

// The braces keep all keys in one slot of a Redis cluster, so that a script may touch several.
constexpr std::string_view kEntryPrefix = "{conclave}:k:";
constexpr std::string_view kCounterPrefix = "{conclave}:c:";
constexpr std::string_view kQueuePrefix = "{conclave}:q:";
/// Sorted sets of entry keys: by name (all scores 0), and by when they expire.
constexpr std::string_view kNames = "{conclave}:names";
constexpr std::string_view kExpiries = "{conclave}:expiries";

/// Each script begins with this: what an entry is called, and how it comes and goes together with its places
/// in the two sorted sets. Every write clears a few expired names away.
constexpr std::string_view kScriptHead = R"lua(
local entry, names, expiries = KEYS[1], KEYS[2], KEYS[3]
local prefix = '{conclave}:k:'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', expiries, '-inf', now, 'LIMIT', 0, 8)) do
  if redis.call('EXISTS', prefix .. name) == 0 then
    redis.call('ZREM', names, name)
    redis.call('ZREM', expiries, name)
  end
end
local function put(name, value, ttl)
  redis.call('ZADD', names, 0, name)
  if ttl == '0' then
    redis.call('SET', entry, value)
    redis.call('ZREM', expiries, name)
  else
    redis.call('SET', entry, value, 'PX', ttl)
    redis.call('ZADD', expiries, string.format('%.0f', now + tonumber(ttl)), name)
  end
end
)lua";

constexpr std::string_view kPutScript = R"lua(
put(ARGV[1], ARGV[2], ARGV[3])
return 1
)lua";

constexpr std::string_view kDeleteScript = R"lua(
redis.call('ZREM', names, ARGV[1])
redis.call('ZREM', expiries, ARGV[1])
return redis.call('DEL', entry)
)lua";

/// ARGV: name, desired, ttl, whether a value is expected, the expected value.
constexpr std::string_view kSwapScript = R"lua(
local found = redis.call('GET', entry)
if ARGV[4] == '0' then
  if found then return 0 end
elseif not found or found ~= ARGV[5] then
  return 0
end
put(ARGV[1], ARGV[2], ARGV[3])
return 1
)lua";

/// ARGV: lower bound, upper bound, limit. Names whose entry has expired are passed over and removed.
constexpr std::string_view kListScript = R"lua(
local result, low, limit = {}, ARGV[1], tonumber(ARGV[3])
while #result < 2 * limit do
  local found = redis.call('ZRANGEBYLEX', names, low, ARGV[2], 'LIMIT', 0, 100)
  if #found == 0 then break end
  for _, name in ipairs(found) do
    local value = redis.call('GET', prefix .. name)
    if value then
      result[#result + 1] = name
      result[#result + 1] = value
      if #result >= 2 * limit then break end
    else
      redis.call('ZREM', names, name)
    end
    low = '(' .. name
  end
end
return result
)lua";

constexpr std::string_view kIncrementScript = R"lua(
local existed = redis.call('EXISTS', KEYS[1])
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if existed == 0 and ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])
)lua";

constexpr std::string_view kAppendScript = R"lua(
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[1])
return 1
)lua";

std::string Named(std::string_view prefix, std::string_view name) { return std::string(prefix).append(name); }

std::string_view TextOf(const redisReply& reply) { return {reply.str, static_cast<size_t>(reply.len)}; }

class RedisStateStore final : public StateStore {
 public:
  RedisStateStore(Address address, int64_t timeout_ms) : pool_(std::move(address), timeout_ms) {}

  Result<std::optional<std::string>> Get(std::string_view key) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateKey(key));
    CONCLAVE_ASSIGN_OR_RETURN(const RedisReply reply, pool_.Run({"GET", Named(kEntryPrefix, key)}));
    if (reply->type != REDIS_REPLY_STRING) return std::optional<std::string>();
    return std::optional<std::string>(TextOf(*reply));
  }

  Status Put(std::string_view key, std::string_view value, int64_t ttl_ms) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateEntry(key, value, ttl_ms));
    return RunOnEntry(kPutScript, key, {key, value, std::to_string(ttl_ms)}).status();
  }

  Result<bool> Delete(std::string_view key) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateKey(key));
    CONCLAVE_ASSIGN_OR_RETURN(const RedisReply reply, RunOnEntry(kDeleteScript, key, {key}));
    return reply->integer == 1;
  }

  Result<bool> CompareAndSwap(std::string_view key, const std::optional<std::string>& expected,
                              std::string_view desired, int64_t ttl_ms) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateEntry(key, desired, ttl_ms));
    const std::string ttl = std::to_string(ttl_ms);
    CONCLAVE_ASSIGN_OR_RETURN(
        const RedisReply reply,
        RunOnEntry(kSwapScript, key,
                   {key, desired, ttl, expected ? "1" : "0", expected ? std::string_view(*expected) : ""}));
    return reply->integer == 1;
  }

  Result<int64_t> Increment(std::string_view counter, int64_t by, int64_t ttl_ms) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateEntry(counter, {}, ttl_ms));
    CONCLAVE_ASSIGN_OR_RETURN(const RedisReply reply,
                              pool_.Run({"EVAL", kIncrementScript, "1", Named(kCounterPrefix, counter),
                                         std::to_string(by), std::to_string(ttl_ms)}));
    if (reply->type != REDIS_REPLY_STRING) return Unavailable("Redis forgot a counter while it was counting");
    return std::strtoll(reply->str, nullptr, 10);
  }

  Result<std::vector<StateEntry>> List(std::string_view prefix, std::string_view after_key,
                                       size_t limit) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateLimit(limit));
    const std::string end = PrefixEnd(prefix);
    const std::string low =
        after_key.empty() || after_key < prefix ? "[" + std::string(prefix) : "(" + std::string(after_key);
    const std::string high = end.empty() ? "+" : "(" + end;
    CONCLAVE_ASSIGN_OR_RETURN(const RedisReply reply,
                              RunOnEntry(kListScript, "", {low, high, std::to_string(limit)}));
    std::vector<StateEntry> entries;
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
      entries.push_back(
          {std::string(TextOf(*reply->element[i])), std::string(TextOf(*reply->element[i + 1]))});
    }
    return entries;
  }

  Status Append(std::string_view queue, std::string_view value, size_t max_length) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateEntry(queue, value, 0));
    CONCLAVE_ASSIGN_OR_RETURN(const RedisReply reply,
                              pool_.Run({"EVAL", kAppendScript, "1", Named(kQueuePrefix, queue), value,
                                         std::to_string(max_length)}));
    if (reply->integer == 1) return Status::Ok();
    return ResourceExhausted("the queue holds " + std::to_string(max_length) + " values already");
  }

  Result<std::vector<std::string>> Pop(std::string_view queue, size_t limit) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateKey(queue));
    CONCLAVE_RETURN_IF_ERROR(CheckStateLimit(limit));
    CONCLAVE_ASSIGN_OR_RETURN(const RedisReply reply,
                              pool_.Run({"LPOP", Named(kQueuePrefix, queue), std::to_string(limit)}));
    std::vector<std::string> values;
    for (size_t i = 0; i < reply->elements; ++i) values.emplace_back(TextOf(*reply->element[i]));
    return values;
  }

  Result<size_t> QueueLength(std::string_view queue) override {
    CONCLAVE_RETURN_IF_ERROR(CheckStateKey(queue));
    CONCLAVE_ASSIGN_OR_RETURN(const RedisReply reply, pool_.Run({"LLEN", Named(kQueuePrefix, queue)}));
    return static_cast<size_t>(reply->integer);
  }

  Status Ping() override { return pool_.Run({"PING"}).status(); }

 private:
  /// Runs a script that begins with kScriptHead.
  Result<RedisReply> RunOnEntry(std::string_view script, std::string_view key,
                                const std::vector<std::string_view>& arguments) {
    const std::string text = std::string(kScriptHead).append(script);
    const std::string entry = Named(kEntryPrefix, key);
    std::vector<std::string_view> words{"EVAL", text, "3", entry, kNames, kExpiries};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return pool_.Run(words);
  }

  RedisPool pool_;
};

}  // namespace

Result<std::unique_ptr<StateStore>> OpenRedisStateStore(const std::string& address, int64_t timeout_ms) {
  CONCLAVE_ASSIGN_OR_RETURN(Address parsed, ParseAddress(address));
  if (parsed.kind == Address::Kind::kInProcess)
    return InvalidArgument("state.redis needs HOST:PORT or unix:PATH");
  if (timeout_ms <= 0) return InvalidArgument("state.timeout_ms must be positive");
  return std::unique_ptr<StateStore>(new RedisStateStore(std::move(parsed), timeout_ms));
}

}  // namespace conclave::platform
