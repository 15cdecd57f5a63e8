#include "services/tokenizer/chat_template/value.h"

#include <algorithm>

#include "services/tokenizer/chat_template/compare.h"
#include "services/tokenizer/chat_template/text.h"

namespace conclave::tokenizer {
namespace {

/// Below this a scan is faster than the index.
constexpr size_t kIndexedEntries = 8;

int DeepestOf(const std::vector<Value>& items) {
  int deepest = 0;
  for (const Value& item : items) deepest = std::max(deepest, item.Depth());
  return deepest;
}

int Rank(const Value& key) {
  if (key.IsNone()) return 0;
  if (key.IsNumber()) return 1;
  return key.IsString() ? 2 : 3;
}

}  // namespace

Value Value::Bool(bool value) {
  Value result;
  result.data_ = value;
  return result;
}

Value Value::Int(int64_t value) {
  Value result;
  result.data_ = value;
  return result;
}

Value Value::Float(double value) {
  Value result;
  result.data_ = value;
  return result;
}

Value Value::String(std::string text) {
  auto data = std::make_shared<StringData>();
  data->code_points = CountCodePoints(text);
  data->bytes = std::move(text);
  Value result;
  result.data_ = std::shared_ptr<const StringData>(std::move(data));
  return result;
}

Value Value::Markup(std::string text) {
  auto data = std::make_shared<StringData>();
  data->code_points = CountCodePoints(text);
  data->bytes = std::move(text);
  data->markup = true;
  Value result;
  result.data_ = std::shared_ptr<const StringData>(std::move(data));
  return result;
}

Value Value::List(std::vector<Value> items) {
  auto data = std::make_shared<ListData>();
  data->depth = 1 + DeepestOf(items);
  data->items = std::move(items);
  Value result;
  result.data_ = std::shared_ptr<const ListData>(std::move(data));
  return result;
}

Value Value::Tuple(std::vector<Value> items) {
  auto data = std::make_shared<ListData>();
  data->depth = 1 + DeepestOf(items);
  data->items = std::move(items);
  data->tuple = true;
  Value result;
  result.data_ = std::shared_ptr<const ListData>(std::move(data));
  return result;
}

Value Value::Group(Value grouper, Value items) {
  auto data = std::make_shared<ListData>();
  data->items = {std::move(grouper), std::move(items)};
  data->depth = 1 + DeepestOf(data->items);
  data->tuple = true;
  data->group = true;
  Value result;
  result.data_ = std::shared_ptr<const ListData>(std::move(data));
  return result;
}

Value Value::Dict(Entries entries) {
  auto data = std::make_shared<DictData>();
  data->entries.reserve(entries.size());
  const bool indexed = entries.size() > kIndexedEntries;
  for (auto& [key, value] : entries) {
    data->depth = std::max({data->depth, 1 + key.Depth(), 1 + value.Depth()});
    if (const Value* present = data->Find(key)) {
      *const_cast<Value*>(present) = std::move(value);  // The dict is still being made here.
      continue;
    }
    data->entries.emplace_back(std::move(key), std::move(value));
    if (indexed) data->index.emplace(&data->entries.back().first, data->entries.size() - 1);
  }
  Value result;
  result.data_ = std::shared_ptr<const DictData>(std::move(data));
  return result;
}

Value Value::Undefined(std::shared_ptr<const UndefinedInfo> info) {
  Value result;
  result.data_ = std::move(info);
  return result;
}

Value Value::FromObject(std::shared_ptr<Object> object) {
  Value result;
  result.data_ = std::move(object);
  return result;
}

std::string_view Value::AsString() const { return AsStringData().bytes; }
const std::vector<Value>& Value::Items() const { return AsList().items; }
bool Value::IsMarkup() const { return IsString() && AsStringData().markup; }
bool Value::IsTuple() const { return IsSequence() && AsList().tuple; }

int Value::Depth() const {
  if (IsSequence()) return AsList().depth;
  if (IsDict()) return AsDict().depth;
  if (IsObject()) return AsObject() ? ObjectDepth(*AsObject()) : 0;
  return 0;
}

bool Value::IsSame(const Value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case ValueKind::kUndefined: return AsUndefined() == other.AsUndefined();
    case ValueKind::kNone: return true;
    case ValueKind::kBool:
    case ValueKind::kInt: return AsInt() == other.AsInt();
    case ValueKind::kFloat: return AsFloat() == other.AsFloat();
    case ValueKind::kString: return AsString() == other.AsString() && IsMarkup() == other.IsMarkup();
    case ValueKind::kList: return &AsList() == &other.AsList();
    case ValueKind::kDict: return &AsDict() == &other.AsDict();
    case ValueKind::kObject: return AsObject() == other.AsObject();
  }
  return false;
}

bool KeyLess::operator()(const Value* left, const Value* right) const {
  const int rank = Rank(*left);
  if (rank != Rank(*right)) return rank < Rank(*right);
  if (rank == 0) return false;
  if (rank == 1) return CompareNumbers(*left, *right) == -1;
  if (rank == 2) return left->AsString() < right->AsString();
  const std::vector<Value>& a = left->Items();
  const std::vector<Value>& b = right->Items();
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [this](const Value& x, const Value& y) { return (*this)(&x, &y); });
}

bool KeyLess::operator()(const Value* left, std::string_view right) const {
  const int rank = Rank(*left);
  return rank == 2 ? left->AsString() < right : rank < 2;
}

bool KeyLess::operator()(std::string_view left, const Value* right) const {
  const int rank = Rank(*right);
  return rank == 2 ? left < right->AsString() : rank > 2;
}

bool IsDictKey(const Value& value) {
  if (value.IsNone() || value.IsNumber() || value.IsString()) return true;
  if (!value.IsTuple() || value.Depth() > 1) return false;
  return std::all_of(value.Items().begin(), value.Items().end(), IsDictKey);
}

const Value* DictData::Find(std::string_view key) const {
  if (!index.empty()) {
    const auto found = index.find(key);
    return found == index.end() ? nullptr : &entries[found->second].second;
  }
  for (const auto& [present, value] : entries) {
    if (present.IsString() && present.AsString() == key) return &value;
  }
  return nullptr;
}

const Value* DictData::Find(const Value& key) const {
  if (!index.empty()) {
    const auto found = index.find(&key);
    return found == index.end() ? nullptr : &entries[found->second].second;
  }
  const KeyLess less;
  for (const auto& [present, value] : entries) {
    if (!less(&present, &key) && !less(&key, &present)) return &value;
  }
  return nullptr;
}

Value ChatMessageValue(std::string role, std::string content) {
  return Value::Dict({{Value::String("role"), Value::String(std::move(role))},
                      {Value::String("content"), Value::String(std::move(content))}});
}

}  // namespace conclave::tokenizer
