#include "services/tokenizer/chat_template/literal.h"

#include <charconv>
#include <cstdio>
#include <limits>

#include "services/tokenizer/chat_template/text.h"

namespace conclave::tokenizer {
namespace {

int DigitValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

/// The end of "digit(_?digit)*" from `at`, or `at` when there is no digit.
size_t DigitsEnd(std::string_view text, size_t at, int base) {
  size_t end = at;
  while (end < text.size()) {
    if (DigitValue(text[end]) < base) {
      ++end;
    } else if (text[end] == '_' && end > at && end + 1 < text.size() && DigitValue(text[end + 1]) < base) {
      ++end;
    } else {
      break;
    }
  }
  return end;
}

std::string WithoutUnderscores(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != '_') out += c;
  }
  return out;
}

std::optional<double> PlainFloat(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return std::strtod(text.c_str(), nullptr);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::optional<int64_t> Accumulate(std::string_view digits, int base, bool negative, bool& overflow) {
  int64_t value = 0;
  for (const char c : digits) {
    if (c == '_') continue;
    const int64_t digit = negative ? -DigitValue(c) : DigitValue(c);
    if (__builtin_mul_overflow(value, int64_t{base}, &value) ||
        __builtin_add_overflow(value, digit, &value)) {
      overflow = true;
      return std::nullopt;
    }
  }
  return value;
}

/// The end of a float literal, or 0 when the digits are an integer.
size_t FloatEnd(std::string_view source) {
  size_t end = DigitsEnd(source, 0, 10);
  bool is_float = false;
  if (end < source.size() && source[end] == '.') {
    const size_t fraction = DigitsEnd(source, end + 1, 10);
    if (fraction > end + 1) {
      is_float = true;
      end = fraction;
    }
  }
  if (end < source.size() && (source[end] == 'e' || source[end] == 'E')) {
    size_t digits = end + 1;
    if (digits < source.size() && (source[digits] == '+' || source[digits] == '-')) ++digits;
    const size_t exponent = DigitsEnd(source, digits, 10);
    if (exponent > digits) {
      is_float = true;
      end = exponent;
    }
  }
  return is_float ? end : 0;
}

int PrefixBase(std::string_view text) {
  if (text.size() < 2 || text[0] != '0') return 0;
  switch (text[1]) {
    case 'x':
    case 'X': return 16;
    case 'o':
    case 'O': return 8;
    case 'b':
    case 'B': return 2;
    default: return 0;
  }
}

class Unescaper {
 public:
  explicit Unescaper(std::string_view text) : text_(text) {}

  Result<std::string> Run() {
    while (at_ < text_.size()) {
      if (text_[at_] != '\\') {
        out_ += text_[at_++];
        continue;
      }
      ++at_;
      CONCLAVE_RETURN_IF_ERROR(Escape());
    }
    return std::move(out_);
  }

 private:
  Status Escape() {
    constexpr std::string_view kLetters = "\\'\"abfnrtv";
    constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
    if (at_ >= text_.size()) return InvalidArgument("\\ at the end of a string");
    const char c = text_[at_];
    if (c == '\n') return ++at_, Status::Ok();
    if (const size_t letter = kLetters.find(c); letter != std::string_view::npos) {
      out_ += kMeanings[letter];
      return ++at_, Status::Ok();
    }
    if (c >= '0' && c <= '7') return Octal();
    if (c == 'x') return Hexadecimal(2);
    if (c == 'u') return Hexadecimal(4);
    if (c == 'U') return Hexadecimal(8);
    if (c == 'N') return Unimplemented("the escape \\N{...} is not supported");
    if (static_cast<signed char>(c) < 0) return EscapedCharacter();
    out_ += '\\';
    out_ += c;
    return ++at_, Status::Ok();
  }

  Status Octal() {
    char32_t value = 0;
    for (int i = 0; i < 3 && at_ < text_.size() && DigitValue(text_[at_]) < 8; ++i) {
      value = value * 8 + static_cast<char32_t>(DigitValue(text_[at_++]));
    }
    AppendCodePoint(value, out_);
    return Status::Ok();
  }

  Status Hexadecimal(int digits) {
    ++at_;
    uint64_t value = 0;
    for (int i = 0; i < digits; ++i) {
      if (at_ >= text_.size() || DigitValue(text_[at_]) >= 16)
        return InvalidArgument("truncated \\x, \\u or \\U escape");
      value = value * 16 + static_cast<uint64_t>(DigitValue(text_[at_++]));
    }
    if (value > 0x10FFFF) return InvalidArgument("illegal Unicode character in a \\U escape");
    if (value >= 0xD800 && value < 0xE000)
      return Unimplemented("an escape for half of a surrogate pair is not supported");
    AppendCodePoint(static_cast<char32_t>(value), out_);
    return Status::Ok();
  }

  /// jinja2 turns characters beyond ASCII into escapes before it unescapes, so that a backslash in front of
  /// one leaves the escape's text.
  Status EscapedCharacter() {
    const char32_t c = DecodeCodePoint(text_, at_);
    char buffer[16];
    const char* format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
    std::snprintf(buffer, sizeof(buffer), format, static_cast<unsigned>(c));
    out_ += buffer;
    return Status::Ok();
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

Result<NumberLiteral> ScanNumber(std::string_view source, bool allow_float) {
  NumberLiteral number;
  if (const size_t end = allow_float ? FloatEnd(source) : 0) {
    number.size = end;
    number.is_float = true;
    number.number = PlainFloat(WithoutUnderscores(source.substr(0, end))).value_or(0);
    return number;
  }
  size_t digits = 0;
  int base = PrefixBase(source);
  if (base != 0) {
    digits = source.size() > 2 && source[2] == '_' ? 3 : 2;
    number.size = DigitsEnd(source, digits, base);
    if (number.size == digits) base = 0;
  }
  if (base == 0) {
    base = 10;
    digits = 0;
    number.size = source[0] == '0' ? DigitsEnd(source, 0, 1) : DigitsEnd(source, 0, 10);
  }
  bool overflow = false;
  const auto value = Accumulate(source.substr(digits, number.size - digits), base, false, overflow);
  if (!value) return Unimplemented("an integer beyond 64 bits is not supported");
  number.integer = *value;
  return number;
}

Result<std::string> UnescapeString(std::string_view quoted) { return Unescaper(quoted).Run(); }

std::optional<int64_t> ParseInteger(std::string_view text, int base, bool& overflow) {
  text = Strip(text, std::nullopt, true, true);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const int prefix = PrefixBase(text);
  bool zero_only = false;
  if (prefix != 0 && (base == 0 || base == prefix)) {
    base = prefix;
    text.remove_prefix(2);
    if (text.starts_with('_')) text.remove_prefix(1);
  } else if (base == 0) {
    base = 10;
    zero_only = text.starts_with('0');
  }
  if (text.empty() || DigitsEnd(text, 0, base) != text.size()) return std::nullopt;
  const auto value = Accumulate(text, base, negative, overflow);
  if (zero_only && value != 0) return std::nullopt;
  return value;
}

std::optional<double> ParseFloat(std::string_view text) {
  text = Strip(text, std::nullopt, true, true);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || text[0] == '_' || text.back() == '_') return std::nullopt;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_' && (DigitValue(text[i - 1]) > 9 || DigitValue(text[i + 1]) > 9)) return std::nullopt;
  }
  const std::string lower = ToLower(WithoutUnderscores(text));
  double value = 0;
  if (lower == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (lower == "inf" || lower == "infinity") {
    value = std::numeric_limits<double>::infinity();
  } else {
    if (lower[0] != '.' && DigitValue(lower[0]) > 9) return std::nullopt;
    const auto parsed = PlainFloat(lower);
    if (!parsed) return std::nullopt;
    value = *parsed;
  }
  return negative ? -value : value;
}

}  // namespace conclave::tokenizer
