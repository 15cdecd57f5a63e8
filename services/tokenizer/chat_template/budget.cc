#include "services/tokenizer/chat_template/budget.h"

#include <algorithm>

#include "services/tokenizer/chat_template/compare.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {

Status Budget::Exhausted(std::string_view limit, int64_t value) const {
  return ResourceExhausted("the chat template exceeds the limit " + std::string(limit) + " of " +
                           std::to_string(value));
}

Status Budget::Step(int64_t count) {
  steps_ += count;
  return steps_ <= limits_.steps ? Status::Ok() : Exhausted("steps", limits_.steps);
}

Status Budget::Bytes(size_t bytes) {
  if (bytes > limits_.value_bytes || bytes_ + bytes > limits_.value_bytes) {
    return Exhausted("value_bytes", static_cast<int64_t>(limits_.value_bytes));
  }
  bytes_ += bytes;
  return Text(bytes);
}

Status Budget::CheckDepth(int depth) const {
  return depth <= limits_.value_depth ? Status::Ok() : Exhausted("value_depth", limits_.value_depth);
}

Result<Value> Budget::String(std::string text) {
  CONCLAVE_RETURN_IF_ERROR(Bytes(text.size() + sizeof(StringData)));
  return Value::String(std::move(text));
}

Result<Value> Budget::Markup(std::string text) {
  CONCLAVE_RETURN_IF_ERROR(Bytes(text.size() + sizeof(StringData)));
  return Value::Markup(std::move(text));
}

Status Budget::Sequence(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.Depth());
  CONCLAVE_RETURN_IF_ERROR(CheckDepth(depth + 1));
  return Bytes(items.size() * sizeof(Value) + sizeof(ListData));
}

Result<Value> Budget::List(std::vector<Value> items) {
  CONCLAVE_RETURN_IF_ERROR(Sequence(items));
  return Value::List(std::move(items));
}

Result<Value> Budget::Tuple(std::vector<Value> items) {
  CONCLAVE_RETURN_IF_ERROR(Sequence(items));
  return Value::Tuple(std::move(items));
}

Result<Value> Budget::Dict(Value::Entries entries) {
  int depth = 0;
  for (const auto& [key, value] : entries) {
    if (!IsDictKey(key)) return InvalidArgument("a " + TypeName(key) + " cannot be the key of a dict");
    depth = std::max(depth, value.Depth());
  }
  CONCLAVE_RETURN_IF_ERROR(CheckDepth(depth + 1));
  CONCLAVE_RETURN_IF_ERROR(Bytes(entries.size() * 4 * sizeof(Value) + sizeof(DictData)));
  return Value::Dict(std::move(entries));
}

Result<bool> Budget::Equal(const Value& left, const Value& right) {
  const int64_t before = std::max<int64_t>(limits_.steps - steps_, 0);
  int64_t work = before;
  const bool equal = ValuesEqual(left, right, work);
  CONCLAVE_RETURN_IF_ERROR(Step(before - work));
  return equal;
}

}  // namespace conclave::tokenizer
