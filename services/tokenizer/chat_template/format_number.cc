#include "services/tokenizer/chat_template/format_number.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>

#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/to_text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

/// More digits than a double has behind its point.
constexpr int64_t kPrecisionLimit = 400;
constexpr int64_t kWidthLimit = int64_t{1} << 30;

bool IsAlign(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

int64_t TakeNumber(std::string_view& text, int64_t fallback) {
  int64_t number = text.empty() || !std::isdigit(static_cast<unsigned char>(text[0])) ? fallback : 0;
  while (!text.empty() && std::isdigit(static_cast<unsigned char>(text[0]))) {
    number = std::min(number * 10 + (text[0] - '0'), kWidthLimit);
    text.remove_prefix(1);
  }
  return number;
}

bool TakeChar(std::string_view& text, char wanted) {
  if (!text.starts_with(wanted)) return false;
  text.remove_prefix(1);
  return true;
}

std::string Group(const std::string& digits, char separator, size_t group) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % group == 0) out += separator;
    out += digits[i];
  }
  return out;
}

std::string Radix(uint64_t value, unsigned base, bool upper) {
  const char* digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  do {
    out += digits[value % base];
    value /= base;
  } while (value != 0);
  std::reverse(out.begin(), out.end());
  return out;
}

std::string SignOf(bool negative, char sign) {
  if (negative) return "-";
  return sign == 0 ? "" : std::string(1, sign);
}

Result<std::string> IntegerText(int64_t value, const FormatSpec& spec) {
  const bool negative = value < 0;
  const uint64_t magnitude = negative ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  unsigned base = 10;
  std::string prefix;
  switch (spec.type) {
    case 0:
    case 'd': break;
    case 'b': base = 2, prefix = "0b"; break;
    case 'o': base = 8, prefix = "0o"; break;
    case 'x': base = 16, prefix = "0x"; break;
    case 'X': base = 16, prefix = "0X"; break;
    default: return InvalidArgument(std::string("unknown format code '") + spec.type + "' for an integer");
  }
  if (spec.precision >= 0) return InvalidArgument("precision not allowed in integer format specifier");
  std::string digits = Radix(magnitude, base, spec.type == 'X');
  if (spec.grouping == ',' && base != 10) return InvalidArgument("cannot specify ',' with this format code");
  if (spec.grouping != 0) digits = Group(digits, spec.grouping, base == 10 ? 3 : 4);
  return SignOf(negative, spec.sign) + (spec.alternate ? prefix : "") + digits;
}

Result<std::string> FloatDigits(double value, const FormatSpec& spec) {
  const bool percent = spec.type == '%';
  if (percent) value *= 100;
  const char type = percent ? 'f' : spec.type;
  const int64_t precision = spec.precision < 0 ? 6 : spec.precision;
  if (precision > kPrecisionLimit)
    return Unimplemented("a precision of more than 400 digits is not supported");
  const std::string format = std::string("%") + (spec.alternate ? "#" : "") + ".*" + type;
  char buffer[1024];
  const int size =
      std::snprintf(buffer, sizeof(buffer), format.c_str(), static_cast<int>(precision), std::abs(value));
  return std::string(buffer, static_cast<size_t>(size)) + (percent ? "%" : "");
}

Result<std::string> FloatNumberText(double value, const FormatSpec& spec) {
  std::string digits;
  if (!std::isfinite(value)) {
    digits = std::isnan(value) ? "nan" : "inf";
    if (std::isupper(static_cast<unsigned char>(spec.type))) digits = ToUpper(digits);
    if (spec.type == '%') digits += '%';
  } else if (spec.type == 0) {
    if (spec.precision >= 0) return Unimplemented("a precision without a format code is not supported");
    digits = FloatText(std::abs(value));
  } else if (std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos) {
    CONCLAVE_ASSIGN_OR_RETURN(digits, FloatDigits(value, spec));
  } else {
    return InvalidArgument(std::string("unknown format code '") + spec.type + "' for a float");
  }
  if (spec.grouping != 0 && std::isfinite(value)) {
    const size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
    digits = Group(digits.substr(0, whole), spec.grouping, 3) + digits.substr(whole);
  }
  return SignOf(std::signbit(value) && !std::isnan(value), spec.sign) + digits;
}

}  // namespace

Result<FormatSpec> ParseFormatSpec(std::string_view text) {
  FormatSpec spec;
  if (!text.empty()) {
    size_t behind_fill = 0;
    DecodeCodePoint(text, behind_fill);
    if (behind_fill < text.size() && IsAlign(text[behind_fill])) {
      spec.fill = std::string(text.substr(0, behind_fill));
      spec.align = text[behind_fill];
      text.remove_prefix(behind_fill + 1);
    } else if (IsAlign(text[0])) {
      spec.align = text[0];
      text.remove_prefix(1);
    }
  }
  if (text.starts_with('+') || text.starts_with('-') || text.starts_with(' ')) {
    spec.sign = text[0] == '-' ? '\0' : text[0];
    text.remove_prefix(1);
  }
  spec.alternate = TakeChar(text, '#');
  if (text.starts_with('0') && spec.align == 0) {
    spec.fill = "0";
    spec.align = '=';
  }
  spec.width = TakeNumber(text, 0);
  if (text.starts_with(',') || text.starts_with('_')) {
    spec.grouping = text[0];
    text.remove_prefix(1);
  }
  if (TakeChar(text, '.')) {
    spec.precision = TakeNumber(text, -1);
    if (spec.precision < 0) return InvalidArgument("format specifier missing precision");
  }
  if (text.size() > 1) return InvalidArgument("invalid format specifier");
  if (!text.empty()) spec.type = text[0];
  return spec;
}

Result<std::string> NumberText(const Value& value, const FormatSpec& spec) {
  const bool as_float =
      spec.type != 0 && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
  if (value.IsFloat() || as_float) return FloatNumberText(value.AsFloat(), spec);
  return IntegerText(value.AsInt(), spec);
}

Result<std::string> Pad(Budget& budget, std::string text, const FormatSpec& spec, char default_align) {
  const auto length = static_cast<int64_t>(CountCodePoints(text));
  if (spec.width <= length) return text;
  const int64_t missing = spec.width - length;
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(static_cast<size_t>(missing) * spec.fill.size() + text.size()));
  const char align = spec.align == 0 ? default_align : spec.align;
  const int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string out;
  size_t sign = 0;
  if (align == '=' && !text.empty() && std::string_view("+- ").find(text[0]) != std::string_view::npos)
    sign = 1;
  if (align == '=' && text.size() > sign + 1 && text[sign] == '0' &&
      std::isalpha(static_cast<unsigned char>(text[sign + 1])))
    sign += 2;
  out += text.substr(0, sign);
  for (int64_t i = 0; i < left; ++i) out += spec.fill;
  out += text.substr(sign);
  for (int64_t i = left; i < missing; ++i) out += spec.fill;
  return out;
}

Result<std::string> FormatValue(Budget& budget, const Value& value, const FormatSpec& spec, bool empty_spec) {
  if (empty_spec) return ToText(budget, value);
  if (value.IsString()) {
    if (spec.type != 0 && spec.type != 's') return InvalidArgument("unknown format code for a str");
    if (spec.sign != 0 || spec.alternate || spec.grouping != 0)
      return InvalidArgument("this format is not allowed for a str");
    if (spec.align == '=' && spec.fill != "0")
      return InvalidArgument("'=' alignment not allowed in string format specifier");
    FormatSpec used = spec;
    if (spec.align == '=') used.align = '<';
    const StringData& text = value.AsStringData();
    CONCLAVE_RETURN_IF_ERROR(budget.Bytes(text.bytes.size()));
    const size_t size =
        spec.precision < 0 ? text.bytes.size() : ByteOffset(text, static_cast<size_t>(spec.precision));
    return Pad(budget, text.bytes.substr(0, size), used, '<');
  }
  if (!value.IsNumber()) return InvalidArgument("unsupported format string passed to " + TypeName(value));
  if (spec.fill == "0" && spec.align == '=' && spec.grouping != 0)
    return Unimplemented("zero padding with grouping is not supported");
  CONCLAVE_ASSIGN_OR_RETURN(std::string text, NumberText(value, spec));
  return Pad(budget, std::move(text), spec, '>');
}

}  // namespace conclave::tokenizer
