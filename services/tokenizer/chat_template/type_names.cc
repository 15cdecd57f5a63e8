#include "services/tokenizer/chat_template/type_names.h"

#include <algorithm>

#include "services/tokenizer/chat_template/object.h"

namespace conclave::tokenizer {
namespace {

std::string ObjectTypeName(const Object& object) {
  switch (object.kind()) {
    case ObjectKind::kNamespace: return "Namespace";
    case ObjectKind::kMacro: return "Macro";
    case ObjectKind::kFunction: return "function";
    case ObjectKind::kMethod: return "builtin_function_or_method";
    case ObjectKind::kRange: return "range";
    case ObjectKind::kDictView: {
      const DictPart part = static_cast<const DictViewObject&>(object).part();
      return part == DictPart::kKeys ? "dict_keys" : part == DictPart::kValues ? "dict_values" : "dict_items";
    }
    case ObjectKind::kIterator: return "generator";
    case ObjectKind::kLoop: return "LoopContext";
    case ObjectKind::kCycler: return "Cycler";
    case ObjectKind::kJoiner: return "Joiner";
  }
  return "object";
}

}  // namespace

std::string TypeName(const Value& value) {
  switch (value.kind()) {
    case ValueKind::kUndefined: return "Undefined";
    case ValueKind::kNone: return "NoneType";
    case ValueKind::kBool: return "bool";
    case ValueKind::kInt: return "int";
    case ValueKind::kFloat: return "float";
    case ValueKind::kString: return value.IsMarkup() ? "Markup" : "str";
    case ValueKind::kList: return value.IsTuple() ? "tuple" : "list";
    case ValueKind::kDict: return "dict";
    case ValueKind::kObject: return ObjectTypeName(*value.AsObject());
  }
  return "object";
}

Status UndefinedError(const Value& undefined) {
  const UndefinedInfo* info = undefined.AsUndefined();
  if (info == nullptr) return InvalidArgument("a variable is undefined");
  if (!info->hint.empty()) return InvalidArgument(info->hint);
  const std::string name = info->name.IsString() ? "'" + std::string(info->name.AsString()) + "'"
                           : info->name.IsInt()  ? std::to_string(info->name.AsInt())
                                                 : "of type " + TypeName(info->name);
  if (info->owner_type.empty()) return InvalidArgument(name + " is undefined");
  return InvalidArgument("'" + info->owner_type + "' has no " +
                         (info->name.IsString() ? "attribute " : "element ") + name);
}

Value UndefinedVariable(std::string name) {
  auto info = std::make_shared<UndefinedInfo>();
  info->name = Value::String(std::move(name));
  return Value::Undefined(std::move(info));
}

Value UndefinedItem(const Value& owner, Value name) {
  auto info = std::make_shared<UndefinedInfo>();
  info->owner_type = owner.IsNone() ? "None" : TypeName(owner) + " object";
  if (name.IsString() || name.IsNumber()) info->name = std::move(name);
  return Value::Undefined(std::move(info));
}

Value UndefinedBecause(std::string hint) {
  auto info = std::make_shared<UndefinedInfo>();
  info->hint = std::move(hint);
  return Value::Undefined(std::move(info));
}

int64_t LengthOf(const Value& value) {
  switch (value.kind()) {
    case ValueKind::kUndefined: return 0;
    case ValueKind::kString: return static_cast<int64_t>(value.AsStringData().code_points);
    case ValueKind::kList: return static_cast<int64_t>(value.Items().size());
    case ValueKind::kDict: return static_cast<int64_t>(value.AsDict().entries.size());
    case ValueKind::kObject: break;
    default: return -1;
  }
  const Object& object = *value.AsObject();
  if (object.kind() == ObjectKind::kRange) return static_cast<const RangeObject&>(object).Size();
  if (object.kind() != ObjectKind::kDictView) return -1;
  return static_cast<int64_t>(static_cast<const DictViewObject&>(object).dict().entries.size());
}

bool IsHashable(const Value& value) {
  if (value.IsDict()) return false;
  if (value.IsSequence()) {
    return value.IsTuple() && std::all_of(value.Items().begin(), value.Items().end(), IsHashable);
  }
  if (!value.IsObject() || value.AsObject()->kind() != ObjectKind::kDictView) return true;
  return static_cast<const DictViewObject&>(*value.AsObject()).part() == DictPart::kValues;
}

bool IsTrue(const Value& value) {
  switch (value.kind()) {
    case ValueKind::kUndefined:
    case ValueKind::kNone: return false;
    case ValueKind::kBool:
    case ValueKind::kInt: return value.AsInt() != 0;
    case ValueKind::kFloat: return value.AsFloat() != 0;
    default: return LengthOf(value) != 0;
  }
}

}  // namespace conclave::tokenizer
