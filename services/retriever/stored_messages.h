#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "platform/storage/durable_store.h"

namespace conclave::retriever {

/// Reads the message under `key`; nothing when there is none. DATA_LOSS when it cannot be parsed.
template <typename Message>
Result<std::optional<Message>> GetMessage(const platform::DurableStore& store, std::string_view key,
                                          const platform::StoreSnapshot* snapshot = nullptr) {
  CONCLAVE_ASSIGN_OR_RETURN(const auto bytes, store.Get(key, snapshot));
  if (!bytes) return std::optional<Message>();
  Message message;
  if (!message.ParseFromString(*bytes)) {
    return DataLoss("the index is damaged: a record cannot be read; ingest the collection again");
  }
  return std::optional<Message>(std::move(message));
}

}  // namespace conclave::retriever
