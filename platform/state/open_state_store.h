#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

#include "base/result.h"
#include "platform/config/config.h"
#include "platform/state/state_store.h"

namespace conclave::platform {

/// Milliseconds since 1970; replaceable in tests.
using MillisecondClock = std::function<int64_t()>;

/// The store that the configuration names; RocksDB below `folder`.
/// Errors: those of DurableStore::Open; UNAVAILABLE when Redis does not answer; INVALID_ARGUMENT for its
/// address.
Result<std::unique_ptr<StateStore>> OpenStateStore(const StateConfig& config,
                                                   const std::filesystem::path& folder);

Result<std::unique_ptr<StateStore>> OpenRocksDbStateStore(const std::filesystem::path& folder,
                                                          MillisecondClock now_ms);

/// `address`: "HOST:PORT" or "unix:PATH". Connections are made when needed, at most kMaxRedisConnections;
/// after a failed attempt the next waits (50 ms, doubling to 2 s), and calls meanwhile fail at once. It does
/// not connect by itself.
Result<std::unique_ptr<StateStore>> OpenRedisStateStore(const std::string& address, int64_t timeout_ms);

/// Checks what every method has in common; see StateStore.
Status CheckStateKey(std::string_view key);
Status CheckStateEntry(std::string_view key, std::string_view value, int64_t ttl_ms);
Status CheckStateLimit(size_t limit);

}  // namespace conclave::platform
