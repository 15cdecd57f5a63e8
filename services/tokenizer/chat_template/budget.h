#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "services/tokenizer/chat_template/limits.h"
#include "services/tokenizer/chat_template/value.h"

namespace conclave::tokenizer {

/// What one rendering has spent of its limits. Everything that loops over input or makes a value pays here
/// first, so that no template runs or grows without end. Not for concurrent use.
class Budget {
 public:
  explicit Budget(const ChatTemplateLimits& limits) : limits_(limits) {}

  /// Each fails with RESOURCE_EXHAUSTED that names the limit.
  Status Step(int64_t count = 1);
  /// For `bytes` of text that are searched, compared or copied.
  Status Text(size_t bytes) { return Step(static_cast<int64_t>(bytes / 256)); }
  /// Before a value of `bytes` is made.
  Status Bytes(size_t bytes);
  Status CheckDepth(int depth) const;
  Status Exhausted(std::string_view limit, int64_t value) const;

  /// Values, paid for.
  Result<Value> String(std::string text);
  Result<Value> Markup(std::string text);
  /// A string that is Markup when `markup`.
  Result<Value> Text(std::string text, bool markup) {
    return markup ? Markup(std::move(text)) : String(std::move(text));
  }
  Result<Value> List(std::vector<Value> items);
  Result<Value> Tuple(std::vector<Value> items);
  /// INVALID_ARGUMENT for a key that cannot be hashed.
  Result<Value> Dict(Value::Entries entries);

  /// Python's ==.
  Result<bool> Equal(const Value& left, const Value& right);

  const ChatTemplateLimits& limits() const { return limits_; }

 private:
  Status Sequence(const std::vector<Value>& items);

  const ChatTemplateLimits& limits_;
  int64_t steps_ = 0;
  size_t bytes_ = 0;
};

}  // namespace conclave::tokenizer
