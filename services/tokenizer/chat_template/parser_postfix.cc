#include <algorithm>

#include "services/tokenizer/chat_template/parser.h"

namespace conclave::tokenizer {

Result<ExpressionPtr> Parser::ParsePostfix(ExpressionPtr node) {
  while (true) {
    if (Current().IsOperator(".") || Current().IsOperator("[")) {
      CONCLAVE_ASSIGN_OR_RETURN(node, ParseSubscript(std::move(node)));
    } else if (Current().IsOperator("(")) {
      CONCLAVE_ASSIGN_OR_RETURN(node, ParseCall(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<ExpressionPtr> Parser::ParseFilterOrTest(ExpressionPtr node) {
  while (true) {
    if (Current().IsOperator("|")) {
      CONCLAVE_ASSIGN_OR_RETURN(node, ParseFilters(std::move(node), false));
    } else if (Current().IsName("is")) {
      CONCLAVE_ASSIGN_OR_RETURN(node, ParseTest(std::move(node)));
    } else if (Current().IsOperator("(")) {
      CONCLAVE_ASSIGN_OR_RETURN(node, ParseCall(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<ExpressionPtr> Parser::ParseSubscript(ExpressionPtr node) {
  const Token token = Next();
  if (token.text == "[") return ParseSubscriptPart(std::move(node));
  const Token name = Next();
  if (name.kind == TokenKind::kName) {
    CONCLAVE_ASSIGN_OR_RETURN(auto attribute,
                              MakeNode(ExpressionKind::kAttribute, token.line, Nodes(std::move(node))));
    attribute->name = name.text;
    return attribute;
  }
  if (name.kind != TokenKind::kInteger) return FailAt(name.line, "expected a name or a number behind '.'");
  std::vector<ExpressionPtr> parts = Nodes(std::move(node));
  parts.push_back(MakeConstant(Value::Int(name.integer), name.line));
  return MakeNode(ExpressionKind::kItem, token.line, std::move(parts));
}

Result<ExpressionPtr> Parser::ParseSubscriptPart(ExpressionPtr object) {
  const int line = Current().line;
  if (SkipOperator(":")) return ParseSliceParts(std::move(object), nullptr, line);
  if (Current().IsOperator("]")) {
    // x[] asks for the item of the empty tuple.
    Next();
    CONCLAVE_ASSIGN_OR_RETURN(auto empty, MakeNode(ExpressionKind::kTuple, line, {}));
    std::vector<ExpressionPtr> parts = Nodes(std::move(object));
    parts.push_back(std::move(empty));
    return MakeNode(ExpressionKind::kItem, line, std::move(parts));
  }
  CONCLAVE_ASSIGN_OR_RETURN(auto key, ParseExpression());
  if (SkipOperator(":")) return ParseSliceParts(std::move(object), std::move(key), line);
  if (Current().IsOperator(",")) {
    std::vector<ExpressionPtr> keys = Nodes(std::move(key));
    while (!Current().IsOperator("]")) {
      CONCLAVE_RETURN_IF_ERROR(ExpectOperator(","));
      CONCLAVE_ASSIGN_OR_RETURN(auto next, ParseExpression());
      keys.push_back(std::move(next));
    }
    CONCLAVE_ASSIGN_OR_RETURN(key, MakeNode(ExpressionKind::kTuple, line, std::move(keys)));
  }
  CONCLAVE_RETURN_IF_ERROR(ExpectOperator("]"));
  std::vector<ExpressionPtr> parts = Nodes(std::move(object));
  parts.push_back(std::move(key));
  return MakeNode(ExpressionKind::kItem, line, std::move(parts));
}

Result<ExpressionPtr> Parser::ParseSliceParts(ExpressionPtr object, ExpressionPtr start, int line) {
  std::vector<ExpressionPtr> parts = Nodes(std::move(object));
  parts.push_back(std::move(start));
  parts.push_back(nullptr);
  parts.push_back(nullptr);
  if (!Current().IsOperator(":") && !Current().IsOperator("]")) {
    CONCLAVE_ASSIGN_OR_RETURN(parts[2], ParseExpression());
  }
  if (SkipOperator(":") && !Current().IsOperator("]")) {
    CONCLAVE_ASSIGN_OR_RETURN(parts[3], ParseExpression());
  }
  if (Current().IsOperator(",")) {
    return Unimplemented("chat template, line " + std::to_string(line) +
                         ": more than one slice is not supported");
  }
  CONCLAVE_RETURN_IF_ERROR(ExpectOperator("]"));
  return MakeNode(ExpressionKind::kSlice, line, std::move(parts));
}

Result<ExpressionPtr> Parser::ParseCall(ExpressionPtr node) {
  const int line = Current().line;
  CONCLAVE_ASSIGN_OR_RETURN(CallSyntax call, ParseArguments());
  CONCLAVE_ASSIGN_OR_RETURN(auto result, MakeNode(ExpressionKind::kCall, line, Nodes(std::move(node))));
  result->call = std::move(call);
  return Finish(std::move(result));
}

Result<CallSyntax> Parser::ParseArguments() {
  const int line = Current().line;
  CONCLAVE_RETURN_IF_ERROR(ExpectOperator("("));
  CallSyntax call;
  bool first = true;
  while (!Current().IsOperator(")")) {
    if (!first) {
      CONCLAVE_RETURN_IF_ERROR(ExpectOperator(","));
      if (Current().IsOperator(")")) break;
    }
    first = false;
    CONCLAVE_RETURN_IF_ERROR(ParseArgument(call, line));
  }
  CONCLAVE_RETURN_IF_ERROR(ExpectOperator(")"));
  return call;
}

Status Parser::ParseArgument(CallSyntax& call, int line) {
  const auto misplaced = [&] { return FailAt(line, "an argument of a call is in the wrong place"); };
  if (SkipOperator("*")) {
    if (call.star || call.double_star) return misplaced();
    CONCLAVE_ASSIGN_OR_RETURN(call.star, ParseExpression());
    return Status::Ok();
  }
  if (SkipOperator("**")) {
    if (call.double_star) return misplaced();
    CONCLAVE_ASSIGN_OR_RETURN(call.double_star, ParseExpression());
    return Status::Ok();
  }
  if (Current().kind == TokenKind::kName && Ahead().IsOperator("=")) {
    if (call.double_star) return misplaced();
    const std::string name = Next().text;
    Next();
    const bool repeated = std::any_of(call.named.begin(), call.named.end(),
                                      [&](const auto& argument) { return argument.first == name; });
    if (repeated) return FailAt(line, "the argument '" + name + "' comes twice");
    CONCLAVE_ASSIGN_OR_RETURN(auto value, ParseExpression());
    call.named.emplace_back(name, std::move(value));
    return Status::Ok();
  }
  if (call.star || call.double_star || !call.named.empty()) return misplaced();
  CONCLAVE_ASSIGN_OR_RETURN(auto value, ParseExpression());
  call.positional.push_back(std::move(value));
  return Status::Ok();
}

Result<std::string> Parser::ParseDottedName() {
  CONCLAVE_ASSIGN_OR_RETURN(Token name, ExpectName());
  while (SkipOperator(".")) {
    CONCLAVE_ASSIGN_OR_RETURN(Token part, ExpectName());
    name.text += "." + part.text;
  }
  return name.text;
}

Result<ExpressionPtr> Parser::ParseFilters(ExpressionPtr node, bool inline_start) {
  while (Current().IsOperator("|") || inline_start) {
    if (!inline_start) Next();
    const int line = Current().line;
    CONCLAVE_ASSIGN_OR_RETURN(std::string name, ParseDottedName());
    CallSyntax call;
    if (Current().IsOperator("(")) {
      CONCLAVE_ASSIGN_OR_RETURN(call, ParseArguments());
    }
    CONCLAVE_ASSIGN_OR_RETURN(node, MakeNode(ExpressionKind::kFilter, line, Nodes(std::move(node))));
    node->name = std::move(name);
    node->call = std::move(call);
    CONCLAVE_ASSIGN_OR_RETURN(node, Finish(std::move(node)));
    inline_start = false;
  }
  return node;
}

bool Parser::AtTestArgument() const {
  if (Current().IsName("else") || Current().IsName("or") || Current().IsName("and")) return false;
  switch (Current().kind) {
    case TokenKind::kName:
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kFloat: return true;
    default: return Current().IsOperator("[") || Current().IsOperator("{");
  }
}

Result<ExpressionPtr> Parser::ParseTest(ExpressionPtr node) {
  const int line = Next().line;
  const bool negated = SkipName("not");
  CONCLAVE_ASSIGN_OR_RETURN(std::string name, ParseDottedName());
  CallSyntax call;
  if (Current().IsOperator("(")) {
    CONCLAVE_ASSIGN_OR_RETURN(call, ParseArguments());
  } else if (AtTestArgument()) {
    if (Current().IsName("is")) return Fail("tests cannot be chained with 'is'");
    const Level level(*this);
    CONCLAVE_RETURN_IF_ERROR(CheckDepth(level_));
    CONCLAVE_ASSIGN_OR_RETURN(auto argument, ParsePrimary());
    CONCLAVE_ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    call.positional.push_back(std::move(argument));
  }
  CONCLAVE_ASSIGN_OR_RETURN(auto test, MakeNode(ExpressionKind::kTest, line, Nodes(std::move(node))));
  test->name = std::move(name);
  test->call = std::move(call);
  CONCLAVE_ASSIGN_OR_RETURN(test, Finish(std::move(test)));
  if (!negated) return test;
  return MakeNode(ExpressionKind::kNot, line, Nodes(std::move(test)));
}

}  // namespace conclave::tokenizer
