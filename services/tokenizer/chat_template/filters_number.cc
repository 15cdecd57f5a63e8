#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "services/tokenizer/chat_template/filters.h"
#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/literal.h"
#include "services/tokenizer/chat_template/operators.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

constexpr double kInt64Bound = 9223372036854775808.0;

Result<Value> Truncate(double value) {
  const double whole = std::trunc(value);
  if (!(whole >= -kInt64Bound && whole < kInt64Bound)) return TooLarge();
  return Value::Int(static_cast<int64_t>(whole));
}

Result<Value> IntOfText(std::string_view text, int64_t base, const Value& fallback) {
  if (base == 0 || (base >= 2 && base <= 36)) {
    bool overflow = false;
    const auto parsed = ParseInteger(text, static_cast<int>(base), overflow);
    if (parsed) return Value::Int(*parsed);
    if (overflow) return TooLarge();
  }
  const auto number = ParseFloat(text);
  return number && std::isfinite(*number) ? Truncate(*number) : fallback;
}

Result<Value> IntFilter(Interpreter&, const Value& input, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("int", arguments, {"default", "base"}));
  const Value fallback = bound[0].value_or(Value::Int(0));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t base, IntegerArgument("int", bound[1], 10));
  if (input.IsUndefined()) return UndefinedError(input);
  if (input.IsIntegral()) return Value::Int(input.AsInt());
  if (input.IsString()) return IntOfText(input.AsString(), base, fallback);
  if (!input.IsFloat() || std::isnan(input.AsFloat())) return fallback;
  if (std::isinf(input.AsFloat())) return InvalidArgument("cannot convert float infinity to integer");
  return Truncate(input.AsFloat());
}

Result<Value> FloatFilter(Interpreter&, const Value& input, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("float", arguments, {"default"}));
  if (input.IsUndefined()) return UndefinedError(input);
  if (input.IsNumber()) return Value::Float(input.AsFloat());
  const auto number = input.IsString() ? ParseFloat(input.AsString()) : std::nullopt;
  return number ? Value::Float(*number) : bound[0].value_or(Value::Float(0));
}

Result<Value> AbsFilter(Interpreter&, const Value& input, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("abs", arguments, {}).status());
  if (input.IsFloat()) return Value::Float(std::abs(input.AsFloat()));
  if (!input.IsIntegral()) return InvalidArgument("bad operand type for abs(): '" + TypeName(input) + "'");
  return input.AsInt() < 0 ? Negate(input) : Value::Int(input.AsInt());
}

/// Python's round(value, digits): to the nearest, exact ties to even.
Result<Value> Round(const Value& input, int64_t digits) {
  if (digits < 0) return Unimplemented("rounding to a negative precision is not supported");
  if (input.IsIntegral()) return Value::Int(input.AsInt());
  if (!std::isfinite(input.AsFloat()) || digits > 300) return input;
  char buffer[800];
  std::snprintf(buffer, sizeof(buffer), "%.*f", static_cast<int>(digits), input.AsFloat());
  return Value::Float(std::strtod(buffer, nullptr));
}

Result<Value> RoundFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("round", arguments, {"precision", "method"}));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t precision, IntegerArgument("round", bound[0], 0));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view method, TextArgument("round", bound[1], "common"));
  if (!input.IsNumber()) return InvalidArgument("round() needs a number, not " + TypeName(input));
  if (method == "common") return Round(input, precision);
  if (method != "ceil" && method != "floor") return InvalidArgument("method must be common, ceil or floor");
  CONCLAVE_ASSIGN_OR_RETURN(const Value scale,
                            Calculate(budget, Operator::kPower, Value::Int(10), Value::Int(precision)));
  CONCLAVE_ASSIGN_OR_RETURN(Value scaled, Calculate(budget, Operator::kMultiply, input, scale));
  if (scaled.IsFloat()) {
    const double whole = method == "ceil" ? std::ceil(scaled.AsFloat()) : std::floor(scaled.AsFloat());
    if (!std::isfinite(whole)) return InvalidArgument("cannot convert float infinity or NaN to integer");
    CONCLAVE_ASSIGN_OR_RETURN(scaled, Truncate(whole));
  }
  return Calculate(budget, Operator::kDivide, scaled, scale);
}

}  // namespace

const FilterTable& NumberFilters() {
  static const FilterTable table = {
      {"int", IntFilter}, {"float", FloatFilter}, {"abs", AbsFilter}, {"round", RoundFilter}};
  return table;
}

}  // namespace conclave::tokenizer
