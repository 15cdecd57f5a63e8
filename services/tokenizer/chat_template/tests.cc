#include <algorithm>
#include <unordered_map>

#include "services/tokenizer/chat_template/filters.h"
#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/operators.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/to_text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

using TestFunction = Result<bool> (*)(Interpreter& interpreter, const Value& value,
                                      const Arguments& arguments);

bool IsObjectOf(const Value& value, std::initializer_list<ObjectKind> kinds) {
  return value.IsObject() && std::find(kinds.begin(), kinds.end(), value.AsObject()->kind()) != kinds.end();
}

bool IsUndefinedTest(const Value& value) { return value.IsUndefined(); }
bool IsDefinedTest(const Value& value) { return !value.IsUndefined(); }
bool IsNoneTest(const Value& value) { return value.IsNone(); }
bool IsBooleanTest(const Value& value) { return value.IsBool(); }
bool IsTrueTest(const Value& value) { return value.IsBool() && value.AsBool(); }
bool IsFalseTest(const Value& value) { return value.IsBool() && !value.AsBool(); }
bool IsIntegerTest(const Value& value) { return value.IsInt(); }
bool IsFloatTest(const Value& value) { return value.IsFloat(); }
bool IsNumberTest(const Value& value) { return value.IsNumber(); }
bool IsStringTest(const Value& value) { return value.IsString(); }
bool IsMappingTest(const Value& value) { return value.IsDict(); }
bool IsEscapedTest(const Value& value) { return value.IsMarkup(); }
bool IsSequenceTest(const Value& value) {
  return value.IsUndefined() || value.IsString() || value.IsSequence() || value.IsDict() ||
         IsObjectOf(value, {ObjectKind::kRange});
}
bool IsCallableTest(const Value& value) {
  return value.IsUndefined() ||
         IsObjectOf(value, {ObjectKind::kMacro, ObjectKind::kFunction, ObjectKind::kMethod,
                            ObjectKind::kJoiner, ObjectKind::kLoop});
}

template <bool (*kTest)(const Value&)>
Result<bool> Simple(Interpreter&, const Value& value, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("the test", arguments, {}).status());
  return kTest(value);
}

template <Operator kOperator>
Result<bool> Comparison(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("the test", arguments, {""}, 1));
  return CompareValues(interpreter.budget(), kOperator, value, *bound[0]);
}

Result<bool> HasRest(Interpreter& interpreter, const Value& value, const Value& divisor, int64_t rest) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(const Value modulo, Calculate(budget, Operator::kModulo, value, divisor));
  return budget.Equal(modulo, Value::Int(rest));
}

template <int kRest>
Result<bool> Parity(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("the test", arguments, {}).status());
  return HasRest(interpreter, value, Value::Int(2), kRest);
}

Result<bool> DivisibleBy(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("divisibleby", arguments, {"num"}, 1));
  return HasRest(interpreter, value, *bound[0], 0);
}

Result<bool> SameAs(Interpreter&, const Value& value, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("sameas", arguments, {"other"}, 1));
  return value.IsSame(*bound[0]);
}

Result<bool> In(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("in", arguments, {"seq"}, 1));
  return Contains(interpreter.budget(), *bound[0], value);
}

template <bool kUpper>
Result<bool> CaseTest(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("the test", arguments, {}).status());
  CONCLAVE_ASSIGN_OR_RETURN(const std::string text, ToText(interpreter.budget(), value));
  return IsAllCase(text, kUpper);
}

Result<bool> Iterable(Interpreter&, const Value& value, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("iterable", arguments, {}).status());
  return IsIterable(value);
}

Result<bool> IsFilterName(Interpreter&, const Value& value, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("filter", arguments, {}).status());
  if (!IsHashable(value)) return InvalidArgument("unhashable type: '" + TypeName(value) + "'");
  return value.IsString() && IsJinjaFilter(value.AsString());
}

Result<bool> IsTestName(Interpreter&, const Value& value, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("test", arguments, {}).status());
  if (!IsHashable(value)) return InvalidArgument("unhashable type: '" + TypeName(value) + "'");
  return value.IsString() && HasTest(value.AsString());
}

const std::unordered_map<std::string_view, TestFunction>& Tests() {
  static const std::unordered_map<std::string_view, TestFunction> tests = {
      {"defined", Simple<IsDefinedTest>},
      {"undefined", Simple<IsUndefinedTest>},
      {"none", Simple<IsNoneTest>},
      {"boolean", Simple<IsBooleanTest>},
      {"true", Simple<IsTrueTest>},
      {"false", Simple<IsFalseTest>},
      {"integer", Simple<IsIntegerTest>},
      {"float", Simple<IsFloatTest>},
      {"number", Simple<IsNumberTest>},
      {"string", Simple<IsStringTest>},
      {"mapping", Simple<IsMappingTest>},
      {"sequence", Simple<IsSequenceTest>},
      {"callable", Simple<IsCallableTest>},
      {"escaped", Simple<IsEscapedTest>},
      {"iterable", Iterable},
      {"odd", Parity<1>},
      {"even", Parity<0>},
      {"divisibleby", DivisibleBy},
      {"sameas", SameAs},
      {"in", In},
      {"lower", CaseTest<false>},
      {"upper", CaseTest<true>},
      {"filter", IsFilterName},
      {"test", IsTestName},
      {"==", Comparison<Operator::kEqual>},
      {"eq", Comparison<Operator::kEqual>},
      {"equalto", Comparison<Operator::kEqual>},
      {"!=", Comparison<Operator::kNotEqual>},
      {"ne", Comparison<Operator::kNotEqual>},
      {"<", Comparison<Operator::kLess>},
      {"lt", Comparison<Operator::kLess>},
      {"lessthan", Comparison<Operator::kLess>},
      {"<=", Comparison<Operator::kLessEqual>},
      {"le", Comparison<Operator::kLessEqual>},
      {">", Comparison<Operator::kGreater>},
      {"gt", Comparison<Operator::kGreater>},
      {"greaterthan", Comparison<Operator::kGreater>},
      {">=", Comparison<Operator::kGreaterEqual>},
      {"ge", Comparison<Operator::kGreaterEqual>}};
  return tests;
}

}  // namespace

bool HasTest(std::string_view name) { return Tests().contains(name); }

Result<bool> Interpreter::ApplyTest(std::string_view name, const Value& input, const Arguments& arguments) {
  const auto found = Tests().find(name);
  if (found == Tests().end()) return Unimplemented("the test '" + std::string(name) + "' is not supported");
  CONCLAVE_RETURN_IF_ERROR(budget_.Step());
  return found->second(*this, input, arguments);
}

}  // namespace conclave::tokenizer
