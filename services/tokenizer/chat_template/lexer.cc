#include <algorithm>

#include <unicode/uchar.h>

#include "services/tokenizer/chat_template/literal.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/token.h"

namespace conclave::tokenizer {
namespace {

constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

/// "\r\n" and "\r" become "\n", and one newline at the end goes.
std::string NormalizeNewlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool IsNameCharacter(char32_t c) {
  if (c < 0x80) return c == '_' || u_isalnum(static_cast<UChar32>(c));
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_XID_CONTINUE) != 0;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> Run() {
    while (position_ < source_.size()) {
      CONCLAVE_RETURN_IF_ERROR(TextAndTag());
    }
    Push(TokenKind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  bool At(std::string_view wanted) const { return source_.substr(position_).starts_with(wanted); }
  char Peek(size_t ahead = 0) const {
    return position_ + ahead < source_.size() ? source_[position_ + ahead] : '\0';
  }

  void MoveTo(size_t position) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<long>(position_),
                                         source_.begin() + static_cast<long>(position), '\n'));
    if (position > position_) line_starting_ = source_[position - 1] == '\n';
    position_ = position;
  }

  Status Fail(const std::string& what) const {
    return InvalidArgument("chat template, line " + std::to_string(line_) + ": " + what);
  }

  Status Located(const Status& status) const {
    return status.Annotate("chat template, line " + std::to_string(line_));
  }

  void Push(TokenKind kind, std::string text) {
    Token token;
    token.kind = kind;
    token.text = std::move(text);
    token.line = line_;
    tokens_.push_back(std::move(token));
  }

  size_t SkipSpace(size_t at) const {
    while (at < source_.size()) {
      size_t next = at;
      if (!IsSpace(DecodeCodePoint(source_, next))) break;
      at = next;
    }
    return at;
  }

  /// Pushes the text before a tag. `sign` is the tag's own white space control.
  void PushText(size_t tag, char sign, bool variable) {
    std::string_view text = source_.substr(position_, tag - position_);
    if (sign == '-') {
      text = Strip(text, std::nullopt, false, true);
    } else if (sign != '+' && !variable) {
      const size_t newline = text.rfind('\n');
      const size_t start = newline == std::string_view::npos ? 0 : newline + 1;
      const bool at_line_start = start > 0 || line_starting_;
      if (at_line_start && Strip(text.substr(start), std::nullopt, true, false).empty())
        text = text.substr(0, start);
    }
    if (!text.empty()) Push(TokenKind::kText, std::string(text));
  }

  size_t FindTag() const {
    for (size_t at = source_.find('{', position_); at != std::string_view::npos;
         at = source_.find('{', at + 1)) {
      const char next = at + 1 < source_.size() ? source_[at + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') return at;
    }
    return std::string_view::npos;
  }

  Status TextAndTag() {
    const size_t tag = FindTag();
    if (tag == std::string_view::npos) {
      Push(TokenKind::kText, std::string(source_.substr(position_)));
      MoveTo(source_.size());
      return Status::Ok();
    }
    const char type = source_[tag + 1];
    const char next = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const char sign = next == '-' || next == '+' ? next : '\0';
    PushText(tag, sign, type == '{');
    if (type == '%') {
      const size_t raw_body = RawBody(tag + 2 + (sign != '\0'));
      if (raw_body != 0) return RawBlock(raw_body);
    }
    MoveTo(tag + 2 + (sign != '\0'));
    if (type == '#') return Comment();
    Push(type == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, {});
    return Code(type == '{');
  }

  /// Behind "{%": where the text of a raw block starts, or 0 when this is another block.
  size_t RawBody(size_t at) const {
    at = SkipSpace(at);
    if (!source_.substr(at).starts_with("raw")) return 0;
    at = SkipSpace(at + 3);
    if (source_.substr(at).starts_with("-%}")) return SkipSpace(at + 3);
    return source_.substr(at).starts_with("%}") ? at + 2 : 0;
  }

  /// Behind a tag's last character: without the newline that trim_blocks takes, or without all white space.
  size_t BehindTag(size_t end, char sign) const {
    if (sign == '-') return SkipSpace(end);
    return sign != '+' && end < source_.size() && source_[end] == '\n' ? end + 1 : end;
  }

  Status RawBlock(size_t body) {
    MoveTo(body);
    for (size_t at = source_.find("{%", body); at != std::string_view::npos;
         at = source_.find("{%", at + 1)) {
      size_t inner = at + 2;
      const char sign = inner < source_.size() && (source_[inner] == '-' || source_[inner] == '+')
                            ? source_[inner++]
                            : '\0';
      inner = SkipSpace(inner);
      if (!source_.substr(inner).starts_with("endraw")) continue;
      inner = SkipSpace(inner + 6);
      const char end_sign = inner < source_.size() && (source_[inner] == '-' || source_[inner] == '+')
                                ? source_[inner++]
                                : '\0';
      if (!source_.substr(inner).starts_with("%}")) continue;
      PushText(at, sign, false);
      MoveTo(BehindTag(inner + 2, end_sign));
      return Status::Ok();
    }
    return body < source_.size() ? Fail("raw block without endraw") : Status::Ok();
  }

  Status Comment() {
    if (position_ >= source_.size()) return Status::Ok();
    const size_t end = source_.find("#}", position_);
    if (end == std::string_view::npos) return Fail("comment without #}");
    const char before = end > position_ ? source_[end - 1] : '\0';
    MoveTo(BehindTag(end + 2, before == '-' || before == '+' ? before : '\0'));
    return Status::Ok();
  }

  /// The tokens of a tag up to and with its end.
  Status Code(bool variable) {
    brackets_.clear();
    while (position_ < source_.size()) {
      if (brackets_.empty() && TagEnd(variable)) return Status::Ok();
      const size_t behind_space = SkipSpace(position_);
      if (behind_space != position_) {
        MoveTo(behind_space);
      } else {
        CONCLAVE_RETURN_IF_ERROR(CodeToken());
      }
    }
    return Status::Ok();
  }

  bool TagEnd(bool variable) {
    const char sign = Peek() == '-' || (Peek() == '+' && !variable) ? Peek() : '\0';
    const size_t at = position_ + (sign != '\0');
    if (!source_.substr(at).starts_with(variable ? "}}" : "%}")) return false;
    Push(variable ? TokenKind::kVariableEnd : TokenKind::kBlockEnd, {});
    const size_t end = at + 2;
    MoveTo(variable ? (sign == '-' ? SkipSpace(end) : end) : BehindTag(end, sign));
    return true;
  }

  Status CodeToken() {
    const char c = Peek();
    if (IsDigit(c)) return Number();
    if (c == '\'' || c == '"') return String(c);
    size_t end = position_;
    for (size_t next = end; next < source_.size(); end = next) {
      if (!IsNameCharacter(DecodeCodePoint(source_, next))) break;
    }
    if (end == position_) return Operator();
    Push(TokenKind::kName, std::string(source_.substr(position_, end - position_)));
    MoveTo(end);
    return Status::Ok();
  }

  Status Number() {
    const bool after_dot = position_ > 0 && source_[position_ - 1] == '.';
    auto number = ScanNumber(source_.substr(position_), !after_dot);
    if (!number.ok()) return Located(number.status());
    Push(number->is_float ? TokenKind::kFloat : TokenKind::kInteger,
         std::string(source_.substr(position_, number->size)));
    tokens_.back().integer = number->integer;
    tokens_.back().number = number->number;
    MoveTo(position_ + number->size);
    return Status::Ok();
  }

  Status String(char quote) {
    size_t end = position_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size())
      return Fail(std::string("unexpected char ") + quote + ": a string without its end");
    auto text = UnescapeString(source_.substr(position_ + 1, end - position_ - 1));
    if (!text.ok()) return Located(text.status());
    Push(TokenKind::kString, std::move(*text));
    MoveTo(end + 1);
    return Status::Ok();
  }

  Status Operator() {
    for (const std::string_view op : kOperators) {
      if (!At(op)) continue;
      CONCLAVE_RETURN_IF_ERROR(Balance(op[0]));
      Push(TokenKind::kOperator, std::string(op));
      MoveTo(position_ + op.size());
      return Status::Ok();
    }
    size_t end = position_;
    DecodeCodePoint(source_, end);
    return Fail("unexpected char '" + std::string(source_.substr(position_, end - position_)) + "'");
  }

  Status Balance(char bracket) {
    if (bracket == '{') brackets_ += '}';
    if (bracket == '(') brackets_ += ')';
    if (bracket == '[') brackets_ += ']';
    if (bracket != '}' && bracket != ')' && bracket != ']') return Status::Ok();
    if (brackets_.empty()) return Fail(std::string("unexpected '") + bracket + "'");
    const char expected = brackets_.back();
    brackets_.pop_back();
    if (expected == bracket) return Status::Ok();
    return Fail(std::string("unexpected '") + bracket + "', expected '" + expected + "'");
  }

  std::string_view source_;
  size_t position_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  /// Closing brackets that are awaited.
  std::string brackets_;
  std::vector<Token> tokens_;
};

}  // namespace

std::string Token::Describe() const {
  switch (kind) {
    case TokenKind::kText: return "text";
    case TokenKind::kVariableBegin: return "{{";
    case TokenKind::kVariableEnd: return "}}";
    case TokenKind::kBlockBegin: return "{%";
    case TokenKind::kBlockEnd: return "%}";
    case TokenKind::kString: return "a string";
    case TokenKind::kEnd: return "the end of the template";
    default: return "'" + text + "'";
  }
}

Result<std::vector<Token>> Tokenize(std::string_view source) {
  const std::string normalized = NormalizeNewlines(source);
  return Lexer(normalized).Run();
}

}  // namespace conclave::tokenizer
