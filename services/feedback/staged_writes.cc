#include "services/feedback/staged_writes.h"

#include <utility>

namespace conclave::feedback {

Result<std::optional<std::string>> StagedWrites::Get(const std::string& key) {
  const auto staged = staged_.find(key);
  if (staged == staged_.end()) return store_.Get(key);
  depends_on_group_ = true;
  return std::optional<std::string>(staged->second);
}

void StagedWrites::Put(const std::string& key, std::string value) {
  depends_on_group_ = true;
  batch_.Put(key, value);
  staged_.insert_or_assign(key, std::move(value));
}

bool StagedWrites::TakeDependsOnGroup() { return std::exchange(depends_on_group_, false); }

}  // namespace conclave::feedback
