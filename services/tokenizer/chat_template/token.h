#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace conclave::tokenizer {

enum class TokenKind {
  kText,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  /// The name, the operator, the unescaped string or the text between tags.
  std::string text;
  int64_t integer = 0;
  double number = 0;
  int line = 1;

  bool IsOperator(std::string_view wanted) const { return kind == TokenKind::kOperator && text == wanted; }
  bool IsName(std::string_view wanted) const { return kind == TokenKind::kName && text == wanted; }
  /// For messages: the text as it stands in the template, or what the token is.
  std::string Describe() const;
};

/// Cuts a template into tokens, with the white space between text and tags already removed as jinja2 does
/// with trim_blocks and lstrip_blocks and without keep_trailing_newline. The last token is kEnd.
/// `source` is UTF-8. Errors: INVALID_ARGUMENT with the line.
Result<std::vector<Token>> Tokenize(std::string_view source);

}  // namespace conclave::tokenizer
