#include "services/tokenizer/chat_template/format.h"

#include <cctype>
#include <cmath>

#include "services/tokenizer/chat_template/attributes.h"
#include "services/tokenizer/chat_template/format_number.h"
#include "services/tokenizer/chat_template/literal.h"
#include "services/tokenizer/chat_template/object.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/to_text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

bool IsRange(const Value& value) {
  return value.IsObject() && value.AsObject()->kind() == ObjectKind::kRange;
}

/// The conversions behind the percent signs of a format.
class PercentFormatter {
 public:
  PercentFormatter(Budget& budget, std::string_view format, const Value& values)
      : budget_(budget), format_(format), values_(values) {}

  Result<std::string> Run() {
    while (at_ < format_.size()) {
      const size_t percent = std::min(format_.find('%', at_), format_.size());
      CONCLAVE_RETURN_IF_ERROR(budget_.Bytes(percent - at_));
      out_ += format_.substr(at_, percent - at_);
      at_ = percent + 1;
      if (percent < format_.size()) CONCLAVE_RETURN_IF_ERROR(Conversion());
    }
    const bool mapping =
        !values_.IsTuple() && !values_.IsString() &&
        (values_.IsDict() || values_.IsSequence() || values_.IsUndefined() || IsRange(values_));
    const size_t given = values_.IsTuple() ? values_.Items().size() : mapping ? 0 : 1;
    if (used_ < given) return InvalidArgument("not all arguments converted during string formatting");
    return std::move(out_);
  }

 private:
  Result<Value> NextValue() {
    const size_t index = used_++;
    if (values_.IsTuple() && index < values_.Items().size()) return values_.Items()[index];
    if (!values_.IsTuple() && index == 0) return values_;
    return InvalidArgument("not enough arguments for format string");
  }

  bool Take(char wanted) {
    if (at_ >= format_.size() || format_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  int64_t Number() {
    int64_t number = 0;
    while (at_ < format_.size() && std::isdigit(static_cast<unsigned char>(format_[at_]))) {
      number = std::min<int64_t>(number * 10 + (format_[at_++] - '0'), int64_t{1} << 30);
    }
    return number;
  }

  Status Key(Value& value, bool& keyed) {
    const size_t end = format_.find(')', at_);
    if (end == std::string_view::npos) return InvalidArgument("incomplete format key");
    if (!values_.IsDict()) return InvalidArgument("format requires a mapping");
    const Value* found = values_.AsDict().Find(format_.substr(at_, end - at_));
    if (found == nullptr) return InvalidArgument("the format's key is not in the mapping");
    value = *found;
    keyed = true;
    at_ = end + 1;
    return Status::Ok();
  }

  Status Conversion() {
    Value value;
    bool keyed = false;
    if (Take('(')) CONCLAVE_RETURN_IF_ERROR(Key(value, keyed));
    FormatSpec spec;
    bool left = false;
    bool zero = false;
    for (; at_ < format_.size() && std::string_view("#0- +").find(format_[at_]) != std::string_view::npos;
         ++at_) {
      left = left || format_[at_] == '-';
      zero = zero || format_[at_] == '0';
      spec.alternate = spec.alternate || format_[at_] == '#';
      if (format_[at_] == '+' || (format_[at_] == ' ' && spec.sign == 0)) spec.sign = format_[at_];
    }
    spec.width = Number();
    if (Take('.')) spec.precision = Number();
    while (Take('l') || Take('h') || Take('L')) {
    }
    if (at_ >= format_.size()) return InvalidArgument("incomplete format");
    spec.type = format_[at_++];
    if (spec.type == '*') return Unimplemented("a width of '*' in a format is not supported");
    if (spec.type == '%') return out_ += '%', Status::Ok();
    if (!keyed) {
      CONCLAVE_ASSIGN_OR_RETURN(value, NextValue());
    }
    spec.align = left ? '<' : '>';
    return Append(value, spec, zero && !left);
  }

  Status Append(const Value& value, FormatSpec& spec, bool zero) {
    CONCLAVE_ASSIGN_OR_RETURN(std::string text, Convert(value, spec, zero));
    CONCLAVE_ASSIGN_OR_RETURN(text, Pad(budget_, std::move(text), spec, '>'));
    CONCLAVE_RETURN_IF_ERROR(budget_.Bytes(text.size()));
    out_ += text;
    return Status::Ok();
  }

  Result<std::string> Convert(const Value& value, FormatSpec& spec, bool zero) {
    if (spec.type == 's' || spec.type == 'r') {
      CONCLAVE_ASSIGN_OR_RETURN(std::string text,
                                spec.type == 's' ? ToText(budget_, value) : ToRepr(budget_, value));
      if (spec.precision < 0) return text;
      const Value whole = Value::String(std::move(text));
      return std::string(
          whole.AsString().substr(0, ByteOffset(whole.AsStringData(), static_cast<size_t>(spec.precision))));
    }
    if (spec.type == 'c') return Character(value);
    if (value.IsUndefined()) return UndefinedError(value);
    const bool integer = std::string_view("diuoxX").find(spec.type) != std::string_view::npos;
    if (!integer && std::string_view("eEfFgG").find(spec.type) == std::string_view::npos) {
      return InvalidArgument(std::string("unsupported format character '") + spec.type + "'");
    }
    if (!value.IsNumber())
      return InvalidArgument("a number is required by the format, not " + TypeName(value));
    Value number = value;
    if (integer) {
      CONCLAVE_ASSIGN_OR_RETURN(number, Truncated(value, spec));
    }
    if (zero) {
      spec.align = '=';
      spec.fill = "0";
    }
    return NumberText(number, spec);
  }

  static Result<Value> Truncated(const Value& value, FormatSpec& spec) {
    const bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    if (spec.precision >= 0) return Unimplemented("a precision for an integer in a format is not supported");
    if (decimal) spec.type = 'd';
    if (!value.IsFloat()) return value;
    if (!decimal) return InvalidArgument("an integer is required by the format, not float");
    const double whole = std::trunc(value.AsFloat());
    if (!std::isfinite(whole)) return InvalidArgument("cannot convert float infinity or NaN to integer");
    if (std::abs(whole) >= 9.2e18) return Unimplemented("an integer beyond 64 bits is not supported");
    return Value::Int(static_cast<int64_t>(whole));
  }

  static Result<std::string> Character(const Value& value) {
    if (value.IsString() && value.AsStringData().code_points == 1) return std::string(value.AsString());
    if (!value.IsIntegral()) return InvalidArgument("%c requires int or char");
    const int64_t code_point = value.AsInt();
    if (code_point < 0 || code_point > 0x10FFFF) return InvalidArgument("%c arg not in range(0x110000)");
    if (code_point >= 0xD800 && code_point < 0xE000)
      return Unimplemented("half of a surrogate pair is not supported");
    std::string text;
    AppendCodePoint(static_cast<char32_t>(code_point), text);
    return text;
  }

  Budget& budget_;
  std::string_view format_;
  const Value& values_;
  size_t at_ = 0;
  size_t used_ = 0;
  std::string out_;
};

/// The fields between the braces of a format.
class BraceFormatter {
 public:
  BraceFormatter(Budget& budget, std::string_view format, const Arguments& arguments)
      : budget_(budget), format_(format), arguments_(arguments) {}

  Result<std::string> Run() {
    CONCLAVE_RETURN_IF_ERROR(budget_.Bytes(format_.size()));
    while (at_ < format_.size()) {
      const char c = format_[at_++];
      if (c != '{' && c != '}') {
        out_ += c;
      } else if (at_ < format_.size() && format_[at_] == c) {
        out_ += c;
        ++at_;
      } else if (c == '}') {
        return InvalidArgument("single '}' encountered in format string");
      } else {
        CONCLAVE_RETURN_IF_ERROR(Field());
      }
    }
    return std::move(out_);
  }

 private:
  Status Field() {
    const size_t end = format_.find('}', at_);
    if (end == std::string_view::npos) return InvalidArgument("expected '}' before end of string");
    std::string_view field = format_.substr(at_, end - at_);
    if (field.find('{') != std::string_view::npos) {
      return Unimplemented("a field inside of a field of format() is not supported");
    }
    at_ = end + 1;
    const size_t colon = std::min(field.find(':'), field.size());
    const std::string_view spec_text = colon < field.size() ? field.substr(colon + 1) : std::string_view();
    field = field.substr(0, colon);
    const size_t mark = std::min(field.find('!'), field.size());
    const std::string_view conversion = field.substr(mark);
    CONCLAVE_ASSIGN_OR_RETURN(Value value, Find(field.substr(0, mark)));
    if (conversion == "!r") {
      CONCLAVE_ASSIGN_OR_RETURN(std::string text, ToRepr(budget_, value));
      value = Value::String(std::move(text));
    } else if (conversion == "!s") {
      CONCLAVE_ASSIGN_OR_RETURN(std::string text, ToText(budget_, value));
      value = Value::String(std::move(text));
    } else if (!conversion.empty()) {
      return Unimplemented("the conversion '" + std::string(conversion) + "' of format() is not supported");
    }
    CONCLAVE_ASSIGN_OR_RETURN(const FormatSpec spec, ParseFormatSpec(spec_text));
    CONCLAVE_ASSIGN_OR_RETURN(const std::string text, FormatValue(budget_, value, spec, spec_text.empty()));
    CONCLAVE_RETURN_IF_ERROR(budget_.Bytes(text.size()));
    out_ += text;
    return Status::Ok();
  }

  Result<Value> First(std::string_view name) {
    bool overflow = false;
    auto index = ParseInteger(name, 10, overflow);
    if (name.empty() || index) {
      if (numbered_ == (name.empty() ? 'm' : 'a')) {
        return InvalidArgument("cannot switch between automatic and manual field numbering");
      }
      numbered_ = name.empty() ? 'a' : 'm';
      const int64_t position = name.empty() ? next_++ : *index;
      if (position < 0 || position >= static_cast<int64_t>(arguments_.positional.size())) {
        return InvalidArgument("format() has no argument for a field");
      }
      return arguments_.positional[static_cast<size_t>(position)];
    }
    for (const auto& [key, value] : arguments_.named) {
      if (key == name) return value;
    }
    return InvalidArgument("format() has no argument '" + std::string(name) + "'");
  }

  Result<Value> Find(std::string_view path) {
    size_t at = std::min(path.find_first_of(".["), path.size());
    CONCLAVE_ASSIGN_OR_RETURN(Value value, First(path.substr(0, at)));
    while (at < path.size()) {
      CONCLAVE_RETURN_IF_ERROR(budget_.Step());
      if (path[at] == '.') {
        const size_t end = std::min(path.find_first_of(".[", at + 1), path.size());
        if (end == at + 1) return InvalidArgument("empty attribute in format string");
        CONCLAVE_ASSIGN_OR_RETURN(value, GetAttribute(budget_, value, path.substr(at + 1, end - at - 1)));
        at = end;
        continue;
      }
      const size_t end = path[at] == '[' ? path.find(']', at) : std::string_view::npos;
      if (end == std::string_view::npos || end == at + 1)
        return InvalidArgument("malformed field in format string");
      const std::string key(path.substr(at + 1, end - at - 1));
      bool overflow = false;
      const auto index = ParseInteger(key, 10, overflow);
      CONCLAVE_ASSIGN_OR_RETURN(value,
                                GetItem(budget_, value, index ? Value::Int(*index) : Value::String(key)));
      at = end + 1;
    }
    return value;
  }

  Budget& budget_;
  std::string_view format_;
  const Arguments& arguments_;
  size_t at_ = 0;
  int64_t next_ = 0;
  /// 'a' after an automatic field, 'm' after a numbered one.
  char numbered_ = 0;
  std::string out_;
};

}  // namespace

Result<Value> FormatPercent(Budget& budget, const Value& format, const Value& values) {
  if (format.IsMarkup()) return Unimplemented("formatting Markup is not supported");
  CONCLAVE_ASSIGN_OR_RETURN(std::string text, PercentFormatter(budget, format.AsString(), values).Run());
  return budget.String(std::move(text));
}

Result<Value> FormatBraces(Budget& budget, const Value& self, const Arguments& arguments) {
  if (self.IsMarkup()) return Unimplemented("formatting Markup is not supported");
  CONCLAVE_ASSIGN_OR_RETURN(std::string text, BraceFormatter(budget, self.AsString(), arguments).Run());
  return budget.String(std::move(text));
}

}  // namespace conclave::tokenizer
