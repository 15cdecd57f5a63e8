#include "services/tokenizer/chat_template/attributes.h"
#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/operators.h"
#include "services/tokenizer/chat_template/slices.h"
#include "services/tokenizer/chat_template/to_text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {

Result<Value> Interpreter::Evaluate(const Expression& node) {
  if (++depth_ > budget_.limits().evaluation_depth) {
    return budget_.Exhausted("evaluation_depth", budget_.limits().evaluation_depth);
  }
  CONCLAVE_RETURN_IF_ERROR(budget_.Step());
  line_ = node.line;
  auto value = EvaluateInner(node);
  --depth_;
  return value;
}

Result<Value> Interpreter::EvaluateInner(const Expression& node) {
  switch (node.kind) {
    case ExpressionKind::kConstant: return node.constant;
    case ExpressionKind::kName: return EvaluateName(node);
    case ExpressionKind::kTuple:
    case ExpressionKind::kList: {
      CONCLAVE_ASSIGN_OR_RETURN(auto items, EvaluateAll(node.children));
      return node.kind == ExpressionKind::kList ? budget_.List(std::move(items))
                                                : budget_.Tuple(std::move(items));
    }
    case ExpressionKind::kDict: return EvaluateDict(node);
    case ExpressionKind::kCondition: return EvaluateCondition(node);
    case ExpressionKind::kFilter: return EvaluateFilter(node);
    case ExpressionKind::kTest: return EvaluateTest(node);
    case ExpressionKind::kCall: return EvaluateCall(node);
    case ExpressionKind::kSlice: return EvaluateSlice(node);
    case ExpressionKind::kConcat: return EvaluateConcat(node);
    case ExpressionKind::kCompare: return EvaluateCompare(node);
    case ExpressionKind::kAnd:
    case ExpressionKind::kOr: return EvaluateLogic(node);
    default: break;
  }
  CONCLAVE_ASSIGN_OR_RETURN(const Value first, Evaluate(*node.children[0]));
  switch (node.kind) {
    case ExpressionKind::kAttribute: return GetAttribute(budget_, first, node.name);
    case ExpressionKind::kNot: return Value::Bool(!IsTrue(first));
    case ExpressionKind::kNegate: return Negate(first);
    case ExpressionKind::kPlus: return Plus(first);
    default: break;
  }
  CONCLAVE_ASSIGN_OR_RETURN(const Value second, Evaluate(*node.children[1]));
  line_ = node.line;
  if (node.kind == ExpressionKind::kItem) return GetItem(budget_, first, second);
  return Calculate(budget_, node.operators[0], first, second);
}

Result<Value> Interpreter::EvaluateName(const Expression& node) {
  const Value& value = Slot(node.variable);
  if (value.IsUndefined() && value.AsUndefined() == nullptr) return UndefinedVariable(node.name);
  return value;
}

Result<std::vector<Value>> Interpreter::EvaluateAll(const std::vector<ExpressionPtr>& nodes) {
  std::vector<Value> values;
  values.reserve(nodes.size());
  for (const auto& node : nodes) {
    CONCLAVE_ASSIGN_OR_RETURN(Value value, Evaluate(*node));
    values.push_back(std::move(value));
  }
  return values;
}

Result<Value> Interpreter::EvaluateDict(const Expression& node) {
  CONCLAVE_ASSIGN_OR_RETURN(auto values, EvaluateAll(node.children));
  Value::Entries entries;
  for (size_t i = 0; i < values.size(); i += 2)
    entries.emplace_back(std::move(values[i]), std::move(values[i + 1]));
  return budget_.Dict(std::move(entries));
}

Result<Value> Interpreter::EvaluateCondition(const Expression& node) {
  CONCLAVE_ASSIGN_OR_RETURN(const Value test, Evaluate(*node.children[0]));
  if (IsTrue(test)) return Evaluate(*node.children[1]);
  if (node.children.size() > 2) return Evaluate(*node.children[2]);
  return UndefinedBecause("the inline if-expression on line " + std::to_string(node.line) +
                          " evaluated to false and no else section was defined");
}

Result<Value> Interpreter::EvaluateLogic(const Expression& node) {
  CONCLAVE_ASSIGN_OR_RETURN(Value left, Evaluate(*node.children[0]));
  const bool decided = IsTrue(left) == (node.kind == ExpressionKind::kOr);
  return decided ? Result<Value>(std::move(left)) : Evaluate(*node.children[1]);
}

Result<Value> Interpreter::EvaluateConcat(const Expression& node) {
  std::string joined;
  for (const auto& child : node.children) {
    CONCLAVE_ASSIGN_OR_RETURN(const Value part, Evaluate(*child));
    CONCLAVE_ASSIGN_OR_RETURN(const std::string text, ToText(budget_, part));
    joined += text;
  }
  return budget_.String(std::move(joined));
}

Result<Value> Interpreter::EvaluateCompare(const Expression& node) {
  CONCLAVE_ASSIGN_OR_RETURN(Value left, Evaluate(*node.children[0]));
  for (size_t i = 0; i < node.operators.size(); ++i) {
    CONCLAVE_ASSIGN_OR_RETURN(Value right, Evaluate(*node.children[i + 1]));
    line_ = node.line;
    const Operator op = node.operators[i];
    const bool membership = op == Operator::kIn || op == Operator::kNotIn;
    CONCLAVE_ASSIGN_OR_RETURN(
        bool holds, membership ? Contains(budget_, right, left) : CompareValues(budget_, op, left, right));
    if (op == Operator::kNotIn) holds = !holds;
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

Result<Value> Interpreter::EvaluateSlice(const Expression& node) {
  CONCLAVE_ASSIGN_OR_RETURN(const Value object, Evaluate(*node.children[0]));
  Value parts[3];
  for (size_t i = 0; i < 3; ++i) {
    if (!node.children[i + 1]) continue;
    CONCLAVE_ASSIGN_OR_RETURN(parts[i], Evaluate(*node.children[i + 1]));
  }
  line_ = node.line;
  return GetSlice(budget_, object, parts[0], parts[1], parts[2]);
}

Result<Value> Interpreter::EvaluateFilter(const Expression& node) {
  Value input = block_text_;
  if (!node.children.empty()) {
    CONCLAVE_ASSIGN_OR_RETURN(input, Evaluate(*node.children[0]));
  }
  CONCLAVE_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(node.call));
  line_ = node.line;
  return ApplyFilter(node.name, input, arguments);
}

Result<Value> Interpreter::EvaluateTest(const Expression& node) {
  CONCLAVE_ASSIGN_OR_RETURN(const Value input, Evaluate(*node.children[0]));
  CONCLAVE_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(node.call));
  line_ = node.line;
  CONCLAVE_ASSIGN_OR_RETURN(const bool holds, ApplyTest(node.name, input, arguments));
  return Value::Bool(holds);
}

Result<Value> Interpreter::EvaluateCall(const Expression& node) {
  CONCLAVE_ASSIGN_OR_RETURN(const Value callee, Evaluate(*node.children[0]));
  CONCLAVE_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(node.call));
  line_ = node.line;
  return Call(callee, arguments);
}

Result<Arguments> Interpreter::EvaluateArguments(const CallSyntax& call) {
  Arguments arguments;
  CONCLAVE_ASSIGN_OR_RETURN(arguments.positional, EvaluateAll(call.positional));
  for (const auto& [name, node] : call.named) {
    CONCLAVE_ASSIGN_OR_RETURN(Value value, Evaluate(*node));
    arguments.named.emplace_back(name, std::move(value));
  }
  if (call.star) {
    CONCLAVE_ASSIGN_OR_RETURN(const Value more, Evaluate(*call.star));
    CONCLAVE_ASSIGN_OR_RETURN(auto items, AllItems(budget_, more));
    for (Value& item : items) arguments.positional.push_back(std::move(item));
  }
  if (!call.double_star) return arguments;
  CONCLAVE_ASSIGN_OR_RETURN(const Value more, Evaluate(*call.double_star));
  if (!more.IsDict())
    return InvalidArgument("the argument behind ** must be a mapping, not " + TypeName(more));
  for (const auto& [key, value] : more.AsDict().entries) {
    if (!key.IsString()) return InvalidArgument("keywords must be strings");
    for (const auto& [name, present] : arguments.named) {
      if (name == key.AsString())
        return InvalidArgument("got multiple values for the argument '" + name + "'");
    }
    CONCLAVE_RETURN_IF_ERROR(budget_.Step(1 + static_cast<int64_t>(arguments.named.size() / 8)));
    arguments.named.emplace_back(std::string(key.AsString()), value);
  }
  return arguments;
}

}  // namespace conclave::tokenizer
