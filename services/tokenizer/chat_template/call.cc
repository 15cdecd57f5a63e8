#include <algorithm>

#include "services/tokenizer/chat_template/functions.h"
#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/methods.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

/// Takes the argument `name` out of `named`; nullopt when it is not there.
std::optional<Value> Take(std::vector<std::pair<std::string, Value>>& named, std::string_view name) {
  const auto found =
      std::find_if(named.begin(), named.end(), [&](const auto& entry) { return entry.first == name; });
  if (found == named.end()) return std::nullopt;
  Value value = std::move(found->second);
  named.erase(found);
  return value;
}

}  // namespace

Result<Value> Interpreter::Call(const Value& callee, const Arguments& arguments) {
  if (callee.IsUndefined()) return UndefinedError(callee);
  if (!callee.IsObject()) return InvalidArgument("'" + TypeName(callee) + "' object is not callable");
  Object& object = *callee.AsObject();
  switch (object.kind()) {
    case ObjectKind::kMacro: return CallMacro(static_cast<const MacroObject&>(object), arguments);
    case ObjectKind::kMethod: return CallMethod(*this, static_cast<const MethodObject&>(object), arguments);
    case ObjectKind::kFunction:
      return CallFunction(*this, static_cast<const FunctionObject&>(object).id(), arguments);
    case ObjectKind::kJoiner: return CallJoiner(static_cast<JoinerObject&>(object), arguments);
    case ObjectKind::kLoop:
      return InvalidArgument("the loop must have the 'recursive' marker to be called recursively");
    default: return InvalidArgument("'" + TypeName(callee) + "' object is not callable");
  }
}

Result<Value> Interpreter::MakeMacro(const Statement& statement) {
  CONCLAVE_RETURN_IF_ERROR(budget_.Bytes(sizeof(MacroObject)));
  if (!std::exchange(activation_->tracked, true)) tracked_activations_.push_back(activation_);
  return Value::FromObject(std::make_shared<MacroObject>(statement, activation_));
}

Status Interpreter::BindMacro(const MacroSyntax& macro, const Arguments& arguments,
                              std::vector<Value>& slots) {
  const std::string who = "macro '" + macro.name + "'";
  const size_t count = macro.parameters.size();
  auto named = arguments.named;
  const auto store = [&](int slot, Value value) { slots[static_cast<size_t>(slot)] = std::move(value); };
  const size_t given = std::min(arguments.positional.size(), count);
  bool found_caller = false;
  for (size_t i = 0; i < given; ++i) store(macro.parameter_slots[i], arguments.positional[i]);
  for (size_t i = given; i < count; ++i) {
    if (auto value = Take(named, macro.parameters[i])) store(macro.parameter_slots[i], std::move(*value));
    if (macro.parameters[i] == "caller") found_caller = true;
  }
  if (macro.caller_slot >= 0 && !found_caller) {
    auto caller = Take(named, "caller");
    store(macro.caller_slot,
          caller && !caller->IsNone() ? std::move(*caller) : UndefinedBecause("No caller defined"));
  }
  if (macro.kwargs_slot >= 0) {
    Value::Entries entries;
    for (auto& [name, value] : named) entries.emplace_back(Value::String(name), std::move(value));
    CONCLAVE_ASSIGN_OR_RETURN(Value rest, budget_.Dict(std::move(entries)));
    store(macro.kwargs_slot, std::move(rest));
  } else if (!named.empty()) {
    return InvalidArgument(who + " takes no keyword argument '" + named[0].first + "'");
  }
  if (macro.varargs_slot >= 0) {
    const auto start = arguments.positional.begin() + static_cast<std::ptrdiff_t>(given);
    CONCLAVE_ASSIGN_OR_RETURN(Value rest, budget_.Tuple({start, arguments.positional.end()}));
    store(macro.varargs_slot, std::move(rest));
  } else if (arguments.positional.size() > count) {
    return InvalidArgument(who + " takes not more than " + std::to_string(count) + " argument(s)");
  }
  return Status::Ok();
}

Result<Value> Interpreter::CallMacro(const MacroObject& macro, const Arguments& arguments) {
  const MacroSyntax& syntax = macro.definition().macro;
  auto activation = std::make_shared<Activation>();
  activation->parent = macro.closure();
  CONCLAVE_RETURN_IF_ERROR(
      budget_.Bytes(sizeof(Activation) + static_cast<size_t>(syntax.slot_count) * sizeof(Value)));
  activation->slots.assign(static_cast<size_t>(syntax.slot_count), Value::Undefined(nullptr));
  CONCLAVE_RETURN_IF_ERROR(BindMacro(syntax, arguments, activation->slots));
  return RunMacro(macro, std::move(activation));
}

Result<Value> Interpreter::RunMacro(const MacroObject& macro, std::shared_ptr<Activation> activation) {
  const Statement& definition = macro.definition();
  const MacroSyntax& syntax = definition.macro;
  const auto outer_activation = std::exchange(activation_, std::move(activation));
  std::string buffer;
  std::string* outer = std::exchange(out_, &buffer);
  const int outer_line = line_;
  CONCLAVE_RETURN_IF_ERROR(EnterFrame(definition.frame));
  const size_t required = syntax.parameters.size() - syntax.defaults.size();
  for (size_t i = 0; i < syntax.parameters.size(); ++i) {
    const auto slot = static_cast<size_t>(syntax.parameter_slots[i]);
    const Value& present = activation_->slots[slot];
    if (!present.IsUndefined() || present.AsUndefined() != nullptr) continue;
    if (i < required) {
      activation_->slots[slot] =
          UndefinedBecause("parameter '" + syntax.parameters[i] + "' was not provided");
    } else {
      CONCLAVE_ASSIGN_OR_RETURN(Value value, Evaluate(*syntax.defaults[i - required]));
      activation_->slots[slot] = std::move(value);
    }
  }
  CONCLAVE_RETURN_IF_ERROR(Execute(definition.body).status());
  activation_ = outer_activation;
  out_ = outer;
  line_ = outer_line;
  return budget_.String(std::move(buffer));
}

Status Interpreter::ExecuteCallBlock(const Statement& statement) {
  CONCLAVE_ASSIGN_OR_RETURN(Value caller, MakeMacro(statement));
  if (statement.kind == StatementKind::kGeneration) {
    CONCLAVE_ASSIGN_OR_RETURN(const Value text, Call(caller, {}));
    return Print(text);
  }
  const Expression& call = *statement.expressions[0];
  CONCLAVE_ASSIGN_OR_RETURN(const Value callee, Evaluate(*call.children[0]));
  CONCLAVE_ASSIGN_OR_RETURN(Arguments arguments, EvaluateArguments(call.call));
  if (Take(arguments.named, "caller")) return InvalidArgument("a call block passes 'caller' itself");
  arguments.named.emplace_back("caller", std::move(caller));
  line_ = call.line;
  CONCLAVE_ASSIGN_OR_RETURN(const Value text, Call(callee, arguments));
  return Print(text);
}

}  // namespace conclave::tokenizer
