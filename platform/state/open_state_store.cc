#include "platform/state/open_state_store.h"

#include "platform/identity.h"
#include "platform/state/limits.h"

namespace conclave::platform {

Result<std::unique_ptr<StateStore>> OpenStateStore(const StateConfig& config,
                                                   const std::filesystem::path& folder) {
  if (config.backend == StateBackend::kRocksDb) return OpenRocksDbStateStore(folder, NowMs);
  CONCLAVE_ASSIGN_OR_RETURN(auto store, OpenRedisStateStore(config.redis, config.timeout_ms));
  CONCLAVE_RETURN_IF_ERROR(store->Ping());
  return store;
}

Status CheckStateKey(std::string_view key) {
  if (!key.empty() && key.size() <= kMaxStateKeyBytes) return Status::Ok();
  return InvalidArgument("a key of the state store has " + std::to_string(key.size()) + " bytes; 1 to " +
                         std::to_string(kMaxStateKeyBytes) + " are allowed");
}

Status CheckStateEntry(std::string_view key, std::string_view value, int64_t ttl_ms) {
  CONCLAVE_RETURN_IF_ERROR(CheckStateKey(key));
  if (value.size() > kMaxStateValueBytes) {
    return InvalidArgument("a value of the state store has " + std::to_string(value.size()) +
                           " bytes; at most " + std::to_string(kMaxStateValueBytes) + " are allowed");
  }
  if (ttl_ms >= 0 && ttl_ms <= kMaxStateTtlMs) return Status::Ok();
  return InvalidArgument("a time to live of " + std::to_string(ttl_ms) + " ms is outside 0 to " +
                         std::to_string(kMaxStateTtlMs));
}

Status CheckStateLimit(size_t limit) {
  if (limit >= 1 && limit <= kMaxStateListEntries) return Status::Ok();
  return InvalidArgument("a limit of " + std::to_string(limit) + " is outside 1 to " +
                         std::to_string(kMaxStateListEntries));
}

}  // namespace conclave::platform
