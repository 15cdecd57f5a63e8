#include <cmath>

#include "services/tokenizer/chat_template/format.h"
#include "services/tokenizer/chat_template/operators.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

constexpr const char* kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};

Status DivisionByZero() { return InvalidArgument("division by zero"); }

Status WrongTypes(Operator op, const Value& left, const Value& right) {
  if (left.IsUndefined()) return UndefinedError(left);
  if (right.IsUndefined()) return UndefinedError(right);
  return InvalidArgument("unsupported operand types for " + std::string(kSymbols[static_cast<int>(op)]) +
                         ": '" + TypeName(left) + "' and '" + TypeName(right) + "'");
}

int64_t FloorDivide(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

double FloatModulo(double a, double b) {
  double rest = std::fmod(a, b);
  if (rest != 0 && (b < 0) != (rest < 0)) return rest + b;
  return rest == 0 ? std::copysign(0.0, b) : rest;
}

double FloatFloorDivide(double a, double b) {
  const double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

Result<Value> FloatPower(double a, double b) {
  if (a == 0 && b < 0) return InvalidArgument("0.0 cannot be raised to a negative power");
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b))
    return Unimplemented("complex numbers are not supported");
  const double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b))
    return InvalidArgument("numerical result out of range");
  return Value::Float(result);
}

Result<Value> IntPower(int64_t base, int64_t exponent) {
  if (exponent < 0) return FloatPower(static_cast<double>(base), static_cast<double>(exponent));
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return TooLarge();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return TooLarge();
  }
  return Value::Int(result);
}

Result<Value> Integers(Operator op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case Operator::kAdd:
      return __builtin_add_overflow(a, b, &result) ? Result<Value>(TooLarge()) : Value::Int(result);
    case Operator::kSubtract:
      return __builtin_sub_overflow(a, b, &result) ? Result<Value>(TooLarge()) : Value::Int(result);
    case Operator::kMultiply:
      return __builtin_mul_overflow(a, b, &result) ? Result<Value>(TooLarge()) : Value::Int(result);
    case Operator::kPower: return IntPower(a, b);
    default: break;
  }
  if (b == 0) return DivisionByZero();
  if (op == Operator::kDivide) {
    return Value::Float(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
  }
  if (a == INT64_MIN && b == -1) return op == Operator::kModulo ? Result<Value>(Value::Int(0)) : TooLarge();
  const int64_t quotient = FloorDivide(a, b);
  return Value::Int(op == Operator::kFloorDivide ? quotient : a - quotient * b);
}

Result<Value> Floats(Operator op, double a, double b) {
  switch (op) {
    case Operator::kAdd: return Value::Float(a + b);
    case Operator::kSubtract: return Value::Float(a - b);
    case Operator::kMultiply: return Value::Float(a * b);
    case Operator::kPower: return FloatPower(a, b);
    default: break;
  }
  if (b == 0) return DivisionByZero();
  if (op == Operator::kDivide) return Value::Float(a / b);
  return Value::Float(op == Operator::kModulo ? FloatModulo(a, b) : FloatFloorDivide(a, b));
}

Result<Value> AddStrings(Budget& budget, const Value& left, const Value& right) {
  const bool markup = left.IsMarkup() || right.IsMarkup();
  const auto part = [markup](const Value& value) {
    return markup && !value.IsMarkup() ? EscapeHtml(value.AsString()) : std::string();
  };
  const std::string escaped_left = part(left);
  const std::string escaped_right = part(right);
  const std::string_view a = markup && !left.IsMarkup() ? std::string_view(escaped_left) : left.AsString();
  const std::string_view b = markup && !right.IsMarkup() ? std::string_view(escaped_right) : right.AsString();
  CONCLAVE_RETURN_IF_ERROR(budget.Text(a.size() + b.size()));
  std::string joined;
  joined.reserve(a.size() + b.size());
  joined.append(a).append(b);
  return budget.Text(std::move(joined), markup);
}

Result<Value> AddLists(Budget& budget, const Value& left, const Value& right) {
  const size_t size = left.Items().size() + right.Items().size();
  CONCLAVE_RETURN_IF_ERROR(budget.Step(static_cast<int64_t>(size / 8)));
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(size * sizeof(Value)));
  std::vector<Value> items = left.Items();
  items.insert(items.end(), right.Items().begin(), right.Items().end());
  return left.IsTuple() ? Value::Tuple(std::move(items)) : Value::List(std::move(items));
}

/// Text or a list, so many times.
Result<Value> Repeat(Budget& budget, const Value& value, int64_t count) {
  count = std::max<int64_t>(count, 0);
  const size_t unit = value.IsString() ? value.AsString().size() : value.Items().size() * sizeof(Value);
  size_t bytes = 0;
  if (__builtin_mul_overflow(unit, static_cast<size_t>(count), &bytes)) bytes = SIZE_MAX;
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(bytes));
  if (unit == 0) count = 0;
  if (value.IsString()) {
    std::string text;
    text.reserve(bytes);
    for (int64_t i = 0; i < count; ++i) text += value.AsString();
    return value.IsMarkup() ? Value::Markup(std::move(text)) : Value::String(std::move(text));
  }
  std::vector<Value> items;
  for (int64_t i = 0; i < count; ++i) items.insert(items.end(), value.Items().begin(), value.Items().end());
  return value.IsTuple() ? Value::Tuple(std::move(items)) : Value::List(std::move(items));
}

}  // namespace

Status TooLarge() { return Unimplemented("an integer beyond 64 bits is not supported"); }

Result<Value> Calculate(Budget& budget, Operator op, const Value& left, const Value& right) {
  if (left.IsUndefined() || right.IsUndefined()) {
    if (op == Operator::kModulo && left.IsString()) return FormatPercent(budget, left, right);
    return WrongTypes(op, left, right);
  }
  if (left.IsIntegral() && right.IsIntegral()) return Integers(op, left.AsInt(), right.AsInt());
  if (left.IsNumber() && right.IsNumber()) return Floats(op, left.AsFloat(), right.AsFloat());
  if (op == Operator::kModulo && left.IsString()) return FormatPercent(budget, left, right);
  if (op == Operator::kAdd && left.IsString() && right.IsString()) return AddStrings(budget, left, right);
  if (op == Operator::kAdd && left.IsSequence() && right.IsSequence() && left.IsTuple() == right.IsTuple()) {
    return AddLists(budget, left, right);
  }
  if (op == Operator::kMultiply && (left.IsString() || left.IsSequence()) && right.IsIntegral()) {
    return Repeat(budget, left, right.AsInt());
  }
  if (op == Operator::kMultiply && left.IsIntegral() && (right.IsString() || right.IsSequence())) {
    return Repeat(budget, right, left.AsInt());
  }
  return WrongTypes(op, left, right);
}

Result<Value> Negate(const Value& value) {
  if (value.IsFloat()) return Value::Float(-value.AsFloat());
  if (value.IsIntegral())
    return value.AsInt() == INT64_MIN ? Result<Value>(TooLarge()) : Value::Int(-value.AsInt());
  if (value.IsUndefined()) return UndefinedError(value);
  return InvalidArgument("bad operand type for unary -: '" + TypeName(value) + "'");
}

Result<Value> Plus(const Value& value) {
  if (value.IsFloat()) return value;
  if (value.IsIntegral()) return Value::Int(value.AsInt());
  if (value.IsUndefined()) return UndefinedError(value);
  return InvalidArgument("bad operand type for unary +: '" + TypeName(value) + "'");
}

}  // namespace conclave::tokenizer
