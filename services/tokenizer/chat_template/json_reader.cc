#include "services/tokenizer/chat_template/json.h"
#include "services/tokenizer/chat_template/literal.h"
#include "services/tokenizer/chat_template/text.h"

namespace conclave::tokenizer {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<Value> Run() {
    CONCLAVE_ASSIGN_OR_RETURN(Value value, Read(1));
    SkipSpace();
    if (at_ != text_.size()) return Fail("more behind the value");
    return value;
  }

 private:
  Status Fail(const std::string& what) const {
    return InvalidArgument("JSON, byte " + std::to_string(at_) + ": " + what);
  }

  void SkipSpace() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }

  bool Skip(std::string_view wanted) {
    if (!text_.substr(at_).starts_with(wanted)) return false;
    at_ += wanted.size();
    return true;
  }

  Result<Value> Read(int depth) {
    if (depth > kChatTemplateLimits.value_depth) {
      return ResourceExhausted("JSON, byte " + std::to_string(at_) +
                               ": nested deeper than the limit value_depth of " +
                               std::to_string(kChatTemplateLimits.value_depth));
    }
    SkipSpace();
    if (Skip("null")) return Value();
    if (Skip("true")) return Value::Bool(true);
    if (Skip("false")) return Value::Bool(false);
    if (Skip("{")) return Dict(depth);
    if (Skip("[")) return List(depth);
    if (at_ < text_.size() && text_[at_] == '"') {
      CONCLAVE_ASSIGN_OR_RETURN(std::string text, String());
      return Value::String(std::move(text));
    }
    return Number();
  }

  Result<Value> List(int depth) {
    std::vector<Value> items;
    SkipSpace();
    if (Skip("]")) return Value::List({});
    while (true) {
      CONCLAVE_ASSIGN_OR_RETURN(Value item, Read(depth + 1));
      items.push_back(std::move(item));
      SkipSpace();
      if (Skip("]")) return Value::List(std::move(items));
      if (!Skip(",")) return Fail("expected ',' or ']'");
    }
  }

  Result<Value> Dict(int depth) {
    Value::Entries entries;
    SkipSpace();
    if (Skip("}")) return Value::Dict({});
    while (true) {
      SkipSpace();
      if (at_ >= text_.size() || text_[at_] != '"') return Fail("expected a key in quotes");
      CONCLAVE_ASSIGN_OR_RETURN(std::string key, String());
      SkipSpace();
      if (!Skip(":")) return Fail("expected ':'");
      CONCLAVE_ASSIGN_OR_RETURN(Value value, Read(depth + 1));
      entries.emplace_back(Value::String(std::move(key)), std::move(value));
      SkipSpace();
      if (Skip("}")) return Value::Dict(std::move(entries));
      if (!Skip(",")) return Fail("expected ',' or '}'");
    }
  }

  bool DigitAt(size_t at) const { return at < text_.size() && text_[at] >= '0' && text_[at] <= '9'; }

  Result<Value> Number() {
    const size_t start = at_;
    Skip("-");
    if (!DigitAt(at_)) return Fail("expected a value");
    const bool zero = text_[at_] == '0';
    while (DigitAt(at_)) ++at_;
    if (zero && at_ - start > (text_[start] == '-' ? 2U : 1U)) return Fail("a number starts with 0");
    bool is_float = false;
    if (at_ < text_.size() && text_[at_] == '.' && DigitAt(at_ + 1)) {
      is_float = true;
      for (++at_; DigitAt(at_);) ++at_;
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      size_t digits = at_ + 1;
      if (digits < text_.size() && (text_[digits] == '+' || text_[digits] == '-')) ++digits;
      if (!DigitAt(digits)) return Fail("expected an exponent");
      is_float = true;
      for (at_ = digits; DigitAt(at_);) ++at_;
    }
    const std::string_view number = text_.substr(start, at_ - start);
    if (is_float) return Value::Float(ParseFloat(number).value_or(0));
    bool overflow = false;
    const auto value = ParseInteger(number, 10, overflow);
    return value ? Result<Value>(Value::Int(*value)) : Fail("an integer beyond 64 bits");
  }

  Result<std::string> String() {
    std::string out;
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        if (!IsValidUtf8(out)) return Fail("a string is not valid UTF-8");
        return out;
      }
      if (static_cast<unsigned char>(c) < 0x20) return Fail("a control character in a string");
      if (c != '\\') {
        out += c;
        continue;
      }
      ++at_;
      CONCLAVE_RETURN_IF_ERROR(Escape(out));
    }
    return Fail("a string without its end");
  }

  Status Escape(std::string& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (at_ >= text_.size()) return Fail("a string without its end");
    if (const size_t letter = kLetters.find(text_[at_]); letter != std::string_view::npos) {
      out += kMeanings[letter];
      return Status::Ok();
    }
    if (text_[at_] != 'u') return Fail("an unknown escape in a string");
    CONCLAVE_ASSIGN_OR_RETURN(char32_t unit, Unit());
    if (unit >= 0xDC00 && unit < 0xE000) return Fail("half of a surrogate pair");
    if (unit >= 0xD800 && unit < 0xDC00) {
      ++at_;
      if (!Skip("\\")) return Fail("half of a surrogate pair");
      CONCLAVE_ASSIGN_OR_RETURN(char32_t low, Unit());
      if (low < 0xDC00 || low >= 0xE000) return Fail("half of a surrogate pair");
      unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    }
    AppendCodePoint(unit, out);
    return Status::Ok();
  }

  /// The four digits behind \u; ends on the last of them.
  Result<char32_t> Unit() {
    if (at_ >= text_.size() || text_[at_] != 'u' || at_ + 4 >= text_.size())
      return Fail("a broken \\u escape");
    char32_t unit = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[++at_];
      const bool letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
      if (!letter && !(c >= '0' && c <= '9')) return Fail("a broken \\u escape");
      unit = unit * 16 + static_cast<char32_t>(letter ? (c | 0x20) - 'a' + 10 : c - '0');
    }
    return unit;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Result<Value> ReadJson(std::string_view text) { return Reader(text).Run(); }

}  // namespace conclave::tokenizer
