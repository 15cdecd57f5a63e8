#include "services/tokenizer/chat_template/attributes.h"

#include <optional>

#include "services/tokenizer/chat_template/ast.h"
#include "services/tokenizer/chat_template/loop_object.h"
#include "services/tokenizer/chat_template/methods.h"
#include "services/tokenizer/chat_template/object.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

using Found = std::optional<Value>;

Value Method(const Value& self, std::string_view name) {
  return Value::FromObject(std::make_shared<MethodObject>(self, std::string(name)));
}

Result<Found> ObjectAttribute(const Value& value, std::string_view name) {
  Object& object = *value.AsObject();
  if (object.kind() == ObjectKind::kNamespace) {
    const Value* found = static_cast<NamespaceObject&>(object).Find(name);
    return found == nullptr ? Found() : Found(*found);
  }
  if (object.kind() == ObjectKind::kLoop) {
    CONCLAVE_ASSIGN_OR_RETURN(Found found, static_cast<LoopObject&>(object).Attribute(name));
    if (found) return found;
  }
  if (object.kind() == ObjectKind::kCycler && name == "current") {
    const auto& cycler = static_cast<CyclerObject&>(object);
    return Found(cycler.items[cycler.position]);
  }
  if (object.kind() == ObjectKind::kMacro && name == "name") {
    return Found(Value::String(static_cast<MacroObject&>(object).definition().macro.name));
  }
  return Found();
}

/// getattr(object, name) behind the sandbox.
Result<Found> AttributeOf(Budget& budget, const Value& object, std::string_view name) {
  if (name.starts_with("__")) {
    return Found(UndefinedBecause("access to attribute '" + std::string(name) + "' of '" + TypeName(object) +
                                  "' object is unsafe"));
  }
  if (object.IsObject()) {
    CONCLAVE_ASSIGN_OR_RETURN(Found found, ObjectAttribute(object, name));
    if (found) return found;
  }
  if (object.IsSequence() && object.AsList().group && (name == "grouper" || name == "list")) {
    return Found(object.Items()[name == "list"]);
  }
  switch (FindMethod(object, name)) {
    case MethodSupport::kNone: return Found();
    case MethodSupport::kSupported:
      CONCLAVE_RETURN_IF_ERROR(budget.CheckDepth(object.Depth() + 1));
      CONCLAVE_RETURN_IF_ERROR(budget.Bytes(sizeof(MethodObject)));
      return Found(Method(object, name));
    case MethodSupport::kUnsafe:
      return Found(UndefinedBecause("access to attribute '" + std::string(name) + "' of '" +
                                    TypeName(object) + "' object is unsafe"));
    case MethodSupport::kUnsupported: break;
  }
  return Unimplemented("the attribute '" + std::string(name) + "' of " + TypeName(object) +
                       " is not supported");
}

Result<Found> IndexText(Budget& budget, const Value& object, int64_t index) {
  const StringData& text = object.AsStringData();
  const auto length = static_cast<int64_t>(text.code_points);
  if (index < 0) index += length;
  if (index < 0 || index >= length) return Found();
  if (!text.IsAscii()) CONCLAVE_RETURN_IF_ERROR(budget.Text(text.bytes.size()));
  const size_t begin = ByteOffset(text, static_cast<size_t>(index));
  size_t end = begin;
  DecodeCodePoint(text.bytes, end);
  CONCLAVE_ASSIGN_OR_RETURN(Value character, budget.Text(text.bytes.substr(begin, end - begin), text.markup));
  return Found(std::move(character));
}

/// object[key] as Python has it; nullopt for its LookupError and TypeError.
Result<Found> ItemOf(Budget& budget, const Value& object, const Value& key) {
  if (object.IsDict()) {
    if (!IsDictKey(key)) return Found();
    const Value* found = object.AsDict().Find(key);
    return found == nullptr ? Found() : Found(*found);
  }
  if (!key.IsIntegral()) return Found();
  int64_t index = key.AsInt();
  if (object.IsString()) return IndexText(budget, object, index);
  const bool range = object.IsObject() && object.AsObject()->kind() == ObjectKind::kRange;
  if (!object.IsSequence() && !range) return Found();
  const int64_t length = LengthOf(object);
  if (index < 0) index += length;
  if (index < 0 || index >= length) return Found();
  if (object.IsSequence()) return Found(object.Items()[static_cast<size_t>(index)]);
  return Found(Value::Int(static_cast<const RangeObject&>(*object.AsObject()).At(index)));
}

}  // namespace

Result<Value> GetAttribute(Budget& budget, const Value& object, std::string_view name) {
  if (object.IsUndefined()) return UndefinedError(object);
  CONCLAVE_ASSIGN_OR_RETURN(Found found, AttributeOf(budget, object, name));
  if (found) return *found;
  if (object.IsDict()) {
    if (const Value* item = object.AsDict().Find(name)) return *item;
  }
  return UndefinedItem(object, Value::String(std::string(name)));
}

Result<Value> GetItem(Budget& budget, const Value& object, const Value& key) {
  if (object.IsUndefined()) return UndefinedError(object);
  CONCLAVE_ASSIGN_OR_RETURN(Found found, ItemOf(budget, object, key));
  if (!found && key.IsString()) {
    CONCLAVE_ASSIGN_OR_RETURN(found, AttributeOf(budget, object, key.AsString()));
  }
  return found ? std::move(*found) : UndefinedItem(object, key);
}

}  // namespace conclave::tokenizer
