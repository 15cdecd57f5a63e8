#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "platform/storage/durable_store.h"

namespace conclave::feedback {

/// Writes that are not in the store yet, and reads that see them: the changes of a group see one another as
/// if each had been written before the next. One thread at a time.
class StagedWrites {
 public:
  /// `store` must outlive this.
  explicit StagedWrites(const platform::DurableStore& store) : store_(store) {}

  /// The staged value, else the stored one, else nothing.
  Result<std::optional<std::string>> Get(const std::string& key);

  /// Get for a protobuf message: `false` when there is none, kDataLoss when it cannot be read.
  template <typename Message>
  Result<bool> GetMessage(const std::string& key, Message& message) {
    CONCLAVE_ASSIGN_OR_RETURN(const std::optional<std::string> value, Get(key));
    if (!value) return false;
    if (!message.ParseFromString(*value)) return DataLoss("the stored value of " + key + " is damaged");
    return true;
  }

  void Put(const std::string& key, std::string value);

  /// Whether a Put, or a Get that saw a staged value, happened since the last call: whether what was decided
  /// since then holds only if the group is written.
  bool TakeDependsOnGroup();

  platform::WriteBatch& batch() { return batch_; }

 private:
  const platform::DurableStore& store_;
  platform::WriteBatch batch_;
  std::unordered_map<std::string, std::string> staged_;
  bool depends_on_group_ = false;
};

}  // namespace conclave::feedback
