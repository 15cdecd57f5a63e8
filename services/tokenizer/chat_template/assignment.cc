#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

bool IsNamespace(const Value& value) {
  return value.IsObject() && value.AsObject()->kind() == ObjectKind::kNamespace;
}

}  // namespace

Value& Interpreter::Slot(const VariableRef& variable) {
  Activation* activation = activation_.get();
  for (int i = 0; i < variable.hops; ++i) activation = activation->parent.get();
  return activation->slots[static_cast<size_t>(variable.slot)];
}

Status Interpreter::EnterFrame(const FrameInfo& frame) {
  CONCLAVE_RETURN_IF_ERROR(budget_.Step(static_cast<int64_t>(frame.loads.size())));
  for (const VariableLoad& load : frame.loads) {
    Value value = Value::Undefined(nullptr);
    if (load.action == VariableLoad::Action::kCopy) value = Slot(load.source);
    if (load.action == VariableLoad::Action::kFromContext) {
      const auto found = context_.find(load.name);
      if (found != context_.end()) value = found->second;
    }
    activation_->slots[static_cast<size_t>(load.slot)] = std::move(value);
  }
  return Status::Ok();
}

void Interpreter::LeaveFrame(const FrameInfo& frame) {
  for (const int slot : frame.leave_slots)
    activation_->slots[static_cast<size_t>(slot)] = Value::Undefined(nullptr);
}

Status Interpreter::CheckNamespaces(const Expression& target) {
  if (target.kind == ExpressionKind::kNamespaceRef && !IsNamespace(Slot(target.variable))) {
    return InvalidArgument("cannot assign attribute on non-namespace object");
  }
  for (const auto& child : target.children) CONCLAVE_RETURN_IF_ERROR(CheckNamespaces(*child));
  return Status::Ok();
}

Status Interpreter::Assign(const Expression& target, Value value) {
  if (target.kind == ExpressionKind::kTuple) return Unpack(target, value);
  Value& slot = Slot(target.variable);
  if (target.kind == ExpressionKind::kName) {
    slot = std::move(value);
    return Status::Ok();
  }
  if (target.attribute.starts_with('_')) {
    return InvalidArgument("a namespace cannot have the attribute '" + target.attribute + "'");
  }
  if (!IsNamespace(slot)) return InvalidArgument("cannot assign attribute on non-namespace object");
  CONCLAVE_RETURN_IF_ERROR(budget_.Bytes(target.attribute.size() + sizeof(Value)));
  static_cast<NamespaceObject&>(*slot.AsObject()).Set(target.attribute, std::move(value));
  return Status::Ok();
}

Status Interpreter::Unpack(const Expression& target, const Value& value) {
  const size_t wanted = target.children.size();
  if (!IsIterable(value)) return InvalidArgument("cannot unpack non-iterable " + TypeName(value) + " object");
  CONCLAVE_ASSIGN_OR_RETURN(auto items, Iterate(budget_, value));
  std::vector<Value> parts;
  Value item;
  while (true) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool more, items->Next(item));
    if (!more) break;
    if (parts.size() == wanted) {
      return InvalidArgument("too many values to unpack (expected " + std::to_string(wanted) + ")");
    }
    parts.push_back(std::move(item));
  }
  if (parts.size() < wanted) {
    return InvalidArgument("not enough values to unpack (expected " + std::to_string(wanted) + ", got " +
                           std::to_string(parts.size()) + ")");
  }
  for (size_t i = 0; i < wanted; ++i)
    CONCLAVE_RETURN_IF_ERROR(Assign(*target.children[i], std::move(parts[i])));
  return Status::Ok();
}

}  // namespace conclave::tokenizer
