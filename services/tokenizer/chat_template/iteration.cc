#include "services/tokenizer/chat_template/iteration.h"

#include <algorithm>
#include <cstring>

#include "services/tokenizer/chat_template/object.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

class NothingIterator : public ValueIterator {
 public:
  Result<bool> Next(Value&) override { return false; }
};

/// Lists, tuples, ranges, dicts and their views, by position, forwards or backwards.
class PositionIterator : public ValueIterator {
 public:
  PositionIterator(Budget& budget, Value value, bool reversed)
      : budget_(budget), value_(std::move(value)), size_(LengthOf(value_)), reversed_(reversed) {}

  Result<bool> Next(Value& item) override {
    if (at_ >= size_) return false;
    CONCLAVE_RETURN_IF_ERROR(budget_.Step());
    const int64_t index = reversed_ ? size_ - 1 - at_ : at_;
    ++at_;
    item = At(static_cast<size_t>(index));
    return true;
  }

 private:
  Value At(size_t index) const {
    if (value_.IsSequence()) return value_.Items()[index];
    if (value_.IsDict()) return value_.AsDict().entries[index].first;
    const Object& object = *value_.AsObject();
    if (object.kind() == ObjectKind::kDictView) return static_cast<const DictViewObject&>(object).At(index);
    return Value::Int(static_cast<const RangeObject&>(object).At(static_cast<int64_t>(index)));
  }

  Budget& budget_;
  Value value_;
  int64_t size_;
  int64_t at_ = 0;
  bool reversed_;
};

class CharacterIterator : public ValueIterator {
 public:
  CharacterIterator(Budget& budget, Value text) : budget_(budget), text_(std::move(text)) {}

  Result<bool> Next(Value& item) override {
    const std::string_view text = text_.AsString();
    if (at_ >= text.size()) return false;
    CONCLAVE_RETURN_IF_ERROR(budget_.Step());
    const size_t start = at_;
    DecodeCodePoint(text, at_);
    CONCLAVE_ASSIGN_OR_RETURN(item, budget_.String(std::string(text.substr(start, at_ - start))));
    return true;
  }

 private:
  Budget& budget_;
  Value text_;
  size_t at_ = 0;
};

/// Shares the state of an iterator value, which gives each item once, whoever asks.
class SharedIterator : public ValueIterator {
 public:
  SharedIterator(Budget& budget, std::shared_ptr<Object> object)
      : budget_(budget), object_(std::move(object)) {}
  Result<bool> Next(Value& item) override {
    CONCLAVE_RETURN_IF_ERROR(budget_.Step());
    return static_cast<IteratorObject&>(*object_).items().Next(item);
  }

 private:
  Budget& budget_;
  std::shared_ptr<Object> object_;
};

bool HasPositions(const Value& value) {
  if (value.IsSequence() || value.IsDict()) return true;
  if (!value.IsObject()) return false;
  const ObjectKind kind = value.AsObject()->kind();
  return kind == ObjectKind::kRange || kind == ObjectKind::kDictView;
}

Result<bool> ContainsByIteration(Budget& budget, const Value& container, const Value& item) {
  CONCLAVE_ASSIGN_OR_RETURN(auto items, Iterate(budget, container));
  Value present;
  while (true) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool more, items->Next(present));
    if (!more) return false;
    CONCLAVE_ASSIGN_OR_RETURN(const bool equal, budget.Equal(present, item));
    if (equal) return true;
  }
}

Result<bool> DictContains(const DictData& dict, const Value& key) {
  if (IsDictKey(key)) return dict.Find(key) != nullptr;
  if (IsHashable(key)) return false;
  return InvalidArgument("unhashable type: '" + TypeName(key) + "'");
}

}  // namespace

bool IsIterable(const Value& value) {
  if (value.IsUndefined() || value.IsString() || HasPositions(value)) return true;
  if (!value.IsObject()) return false;
  const ObjectKind kind = value.AsObject()->kind();
  return kind == ObjectKind::kIterator || kind == ObjectKind::kLoop;
}

Result<std::unique_ptr<ValueIterator>> Iterate(Budget& budget, const Value& value) {
  using Pointer = std::unique_ptr<ValueIterator>;
  if (HasPositions(value)) return Pointer(std::make_unique<PositionIterator>(budget, value, false));
  if (value.IsString()) return Pointer(std::make_unique<CharacterIterator>(budget, value));
  if (value.IsUndefined()) return Pointer(std::make_unique<NothingIterator>());
  if (value.IsObject() && value.AsObject()->kind() == ObjectKind::kIterator) {
    return Pointer(std::make_unique<SharedIterator>(budget, value.AsObject()));
  }
  if (value.IsObject() && value.AsObject()->kind() == ObjectKind::kLoop) {
    return Unimplemented("going through the variable 'loop' is not supported");
  }
  return InvalidArgument("'" + TypeName(value) + "' object is not iterable");
}

Result<std::unique_ptr<ValueIterator>> IterateReversed(Budget& budget, const Value& value) {
  using Pointer = std::unique_ptr<ValueIterator>;
  if (HasPositions(value)) return Pointer(std::make_unique<PositionIterator>(budget, value, true));
  if (value.IsUndefined()) return Pointer(std::make_unique<NothingIterator>());
  if (!value.IsString()) return InvalidArgument("'" + TypeName(value) + "' object is not reversible");
  CONCLAVE_ASSIGN_OR_RETURN(std::vector<Value> characters, AllItems(budget, value));
  return Pointer(std::make_unique<PositionIterator>(budget, Value::List(std::move(characters)), true));
}

Result<std::vector<Value>> AllItems(Budget& budget, const Value& value) {
  CONCLAVE_ASSIGN_OR_RETURN(auto items, Iterate(budget, value));
  std::vector<Value> all;
  Value item;
  while (true) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool more, items->Next(item));
    if (!more) return all;
    CONCLAVE_RETURN_IF_ERROR(budget.Bytes(sizeof(Value)));
    all.push_back(std::move(item));
  }
}

Result<bool> Contains(Budget& budget, const Value& container, const Value& item) {
  if (container.IsString()) {
    if (!item.IsString()) {
      if (item.IsUndefined()) return InvalidArgument("'in <string>' requires a string, not Undefined");
      return InvalidArgument("'in <string>' requires a string, not " + TypeName(item));
    }
    const std::string_view text = container.AsString();
    CONCLAVE_RETURN_IF_ERROR(budget.Text(text.size()));
    // memmem takes linear time, whatever the texts.
    return item.AsString().empty() ||
           memmem(text.data(), text.size(), item.AsString().data(), item.AsString().size()) != nullptr;
  }
  if (container.IsDict()) return DictContains(container.AsDict(), item);
  if (container.IsObject() && container.AsObject()->kind() == ObjectKind::kDictView) {
    const auto& view = static_cast<const DictViewObject&>(*container.AsObject());
    if (view.part() == DictPart::kKeys) return DictContains(view.dict(), item);
  }
  if (!IsIterable(container))
    return InvalidArgument("argument of type '" + TypeName(container) + "' is not iterable");
  return ContainsByIteration(budget, container, item);
}

Result<Value> MakeIterator(Budget& budget, std::unique_ptr<ValueIterator> items, int source_depth) {
  CONCLAVE_RETURN_IF_ERROR(budget.CheckDepth(source_depth + 1));
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(256));
  return Value::FromObject(std::make_shared<IteratorObject>(std::move(items), source_depth + 1));
}

}  // namespace conclave::tokenizer
