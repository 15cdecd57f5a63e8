#include <algorithm>

#include "services/tokenizer/chat_template/parser.h"

namespace conclave::tokenizer {
namespace {

constexpr std::string_view kUnsupportedTags[] = {"autoescape", "block",   "do",    "extends", "from",
                                                 "import",     "include", "debug", "trans",   "pluralize"};

}  // namespace

Status Parser::FailAt(int line, const std::string& what) const {
  return InvalidArgument("chat template, line " + std::to_string(line) + ": " + what);
}

Status Parser::CheckDepth(int depth) const {
  if (depth <= limits_.syntax_depth) return Status::Ok();
  return ResourceExhausted("chat template, line " + std::to_string(Current().line) +
                           ": nested deeper than the limit syntax_depth of " +
                           std::to_string(limits_.syntax_depth));
}

Token Parser::Next() {
  Token token = Current();
  if (position_ + 1 < tokens_.size()) ++position_;
  return token;
}

bool Parser::SkipOperator(std::string_view op) {
  if (!Current().IsOperator(op)) return false;
  Next();
  return true;
}

bool Parser::SkipName(std::string_view name) {
  if (!Current().IsName(name)) return false;
  Next();
  return true;
}

Status Parser::Expect(TokenKind kind, std::string_view wanted) {
  if (Current().kind != kind)
    return Fail("expected " + std::string(wanted) + ", got " + Current().Describe());
  Next();
  return Status::Ok();
}

Status Parser::ExpectOperator(std::string_view op) {
  if (SkipOperator(op)) return Status::Ok();
  return Fail("expected '" + std::string(op) + "', got " + Current().Describe());
}

Result<Token> Parser::ExpectName() {
  if (Current().kind != TokenKind::kName) return Fail("expected a name, got " + Current().Describe());
  return Next();
}

Parser::StatementPtr Parser::MakeStatement(StatementKind kind, int line) const {
  auto statement = std::make_unique<Statement>();
  statement->kind = kind;
  statement->line = line;
  return statement;
}

Result<Body> Parser::Parse() { return Statements({}); }

bool Parser::AtEndOf(std::initializer_list<std::string_view> ends) const {
  return Current().kind == TokenKind::kName &&
         std::find(ends.begin(), ends.end(), Current().text) != ends.end();
}

Result<Body> Parser::Statements(std::initializer_list<std::string_view> ends) {
  const Level level(*this);
  CONCLAVE_RETURN_IF_ERROR(CheckDepth(level_));
  Body body;
  while (Current().kind != TokenKind::kEnd) {
    const Token token = Next();
    if (token.kind == TokenKind::kText) {
      body.push_back(MakeStatement(StatementKind::kText, token.line));
      body.back()->text = token.text;
    } else if (token.kind == TokenKind::kVariableBegin) {
      CONCLAVE_ASSIGN_OR_RETURN(auto value, ParseTuple(TupleStyle::kFull));
      CONCLAVE_RETURN_IF_ERROR(Expect(TokenKind::kVariableEnd, "}}"));
      body.push_back(MakeStatement(StatementKind::kPrint, token.line));
      body.back()->expressions.push_back(std::move(value));
    } else {
      if (AtEndOf(ends)) return body;
      CONCLAVE_ASSIGN_OR_RETURN(auto statement, ParseStatement());
      CONCLAVE_RETURN_IF_ERROR(Expect(TokenKind::kBlockEnd, "%}"));
      body.push_back(std::move(statement));
    }
  }
  if (ends.size() == 0) return body;
  return Fail("the template ends inside of the tag '" + open_tags_.back() + "'");
}

Result<Body> Parser::Block(std::initializer_list<std::string_view> ends, bool drop_end) {
  SkipOperator(":");
  CONCLAVE_RETURN_IF_ERROR(Expect(TokenKind::kBlockEnd, "%}"));
  CONCLAVE_ASSIGN_OR_RETURN(Body body, Statements(ends));
  if (drop_end) Next();
  return body;
}

Result<Body> Parser::FunctionBody(std::string_view end) {
  const int outer_loops = std::exchange(loop_depth_, 0);
  auto body = Block({end}, true);
  loop_depth_ = outer_loops;
  return body;
}

Result<Parser::StatementPtr> Parser::ParseStatement() {
  if (Current().kind != TokenKind::kName)
    return Fail("expected the name of a tag, got " + Current().Describe());
  const std::string tag = Current().text;
  open_tags_.push_back(tag);
  auto statement = ParseKnownStatement(tag);
  open_tags_.pop_back();
  return statement;
}

Result<Parser::StatementPtr> Parser::ParseKnownStatement(const std::string& tag) {
  if (tag == "print") return ParsePrint();
  if (tag == "set") return ParseSet();
  if (tag == "for") return ParseFor();
  if (tag == "if") return ParseIf();
  if (tag == "macro") return ParseMacro();
  if (tag == "call") return ParseCallBlock();
  if (tag == "generation") return ParseGeneration();
  if (tag == "filter") return ParseFilterBlock();
  if (tag == "with") return ParseWith();
  if (tag == "break") return ParseLoopControl(StatementKind::kBreak);
  if (tag == "continue") return ParseLoopControl(StatementKind::kContinue);
  if (std::find(std::begin(kUnsupportedTags), std::end(kUnsupportedTags), tag) !=
      std::end(kUnsupportedTags)) {
    return Unimplemented("chat template, line " + std::to_string(Current().line) + ": the tag '" + tag +
                         "' is not supported");
  }
  std::string message = "unknown tag '" + tag + "'";
  if (open_tags_.size() > 1)
    message += "; the innermost open tag is '" + open_tags_[open_tags_.size() - 2] + "'";
  return Fail(message);
}

Result<Parser::StatementPtr> Parser::ParsePrint() {
  auto statement = MakeStatement(StatementKind::kPrint, Next().line);
  while (Current().kind != TokenKind::kBlockEnd) {
    if (!statement->expressions.empty()) CONCLAVE_RETURN_IF_ERROR(ExpectOperator(","));
    CONCLAVE_ASSIGN_OR_RETURN(auto value, ParseExpression());
    statement->expressions.push_back(std::move(value));
  }
  return statement;
}

Result<Parser::StatementPtr> Parser::ParseSet() {
  auto statement = MakeStatement(StatementKind::kSet, Next().line);
  CONCLAVE_ASSIGN_OR_RETURN(auto target, ParseTarget(true));
  statement->targets.push_back(std::move(target));
  if (SkipOperator("=")) {
    CONCLAVE_ASSIGN_OR_RETURN(auto value, ParseTuple(TupleStyle::kFull));
    statement->expressions.push_back(std::move(value));
    return statement;
  }
  statement->kind = StatementKind::kSetBlock;
  CONCLAVE_ASSIGN_OR_RETURN(auto filter, ParseFilters(nullptr, false));
  if (filter) statement->expressions.push_back(std::move(filter));
  CONCLAVE_ASSIGN_OR_RETURN(statement->body, Block({"endset"}, true));
  return statement;
}

Result<Parser::StatementPtr> Parser::ParseFor() {
  auto statement = MakeStatement(StatementKind::kFor, Next().line);
  const size_t target_position = position_;
  CONCLAVE_ASSIGN_OR_RETURN(auto target, ParseTarget(false, "in"));
  statement->targets.push_back(std::move(target));
  if (!SkipName("in")) return Fail("expected 'in', got " + Current().Describe());
  CONCLAVE_ASSIGN_OR_RETURN(auto items, ParseTuple(TupleStyle::kWithoutCondition, "recursive"));
  statement->expressions.push_back(std::move(items));
  if (SkipName("if")) {
    CONCLAVE_ASSIGN_OR_RETURN(statement->test, ParseExpression());
    // The condition has variables of its own, so it gets its own copy of the target.
    const size_t behind = std::exchange(position_, target_position);
    CONCLAVE_ASSIGN_OR_RETURN(statement->test_target, ParseTarget(false, "in"));
    position_ = behind;
  }
  if (Current().IsName("recursive")) {
    return Unimplemented("chat template, line " + std::to_string(Current().line) +
                         ": a recursive for loop is not supported");
  }
  ++loop_depth_;
  CONCLAVE_ASSIGN_OR_RETURN(statement->body, Block({"endfor", "else"}, false));
  --loop_depth_;
  if (Next().text == "endfor") return statement;
  CONCLAVE_ASSIGN_OR_RETURN(statement->otherwise, Block({"endfor"}, true));
  return statement;
}

Result<Parser::StatementPtr> Parser::ParseIf() {
  auto statement = MakeStatement(StatementKind::kIf, Next().line);
  while (true) {
    IfBranch branch;
    CONCLAVE_ASSIGN_OR_RETURN(branch.test, ParseTuple(TupleStyle::kWithoutCondition));
    CONCLAVE_ASSIGN_OR_RETURN(branch.body, Block({"elif", "else", "endif"}, false));
    statement->branches.push_back(std::move(branch));
    const Token end = Next();
    if (end.text == "elif") continue;
    if (end.text == "else") {
      CONCLAVE_ASSIGN_OR_RETURN(Body body, Block({"endif"}, true));
      statement->branches.push_back({nullptr, std::move(body)});
    }
    return statement;
  }
}

Status Parser::ParseSignature(MacroSyntax& macro) {
  CONCLAVE_RETURN_IF_ERROR(ExpectOperator("("));
  while (!Current().IsOperator(")")) {
    if (!macro.parameters.empty()) CONCLAVE_RETURN_IF_ERROR(ExpectOperator(","));
    CONCLAVE_ASSIGN_OR_RETURN(Token name, ExpectName());
    if (std::find(macro.parameters.begin(), macro.parameters.end(), name.text) != macro.parameters.end()) {
      return FailAt(name.line, "the parameter '" + name.text + "' comes twice");
    }
    if (SkipOperator("=")) {
      CONCLAVE_ASSIGN_OR_RETURN(auto value, ParseExpression());
      macro.defaults.push_back(std::move(value));
    } else if (!macro.defaults.empty()) {
      return Fail("a parameter without a default follows one with a default");
    }
    macro.parameters.push_back(name.text);
  }
  return ExpectOperator(")");
}

Result<Parser::StatementPtr> Parser::ParseMacro() {
  auto statement = MakeStatement(StatementKind::kMacro, Next().line);
  CONCLAVE_ASSIGN_OR_RETURN(Token name, ExpectName());
  statement->macro.name = name.text;
  CONCLAVE_RETURN_IF_ERROR(ParseSignature(statement->macro));
  CONCLAVE_ASSIGN_OR_RETURN(statement->body, FunctionBody("endmacro"));
  return statement;
}

Result<Parser::StatementPtr> Parser::ParseCallBlock() {
  auto statement = MakeStatement(StatementKind::kCallBlock, Next().line);
  if (Current().IsOperator("(")) CONCLAVE_RETURN_IF_ERROR(ParseSignature(statement->macro));
  CONCLAVE_ASSIGN_OR_RETURN(auto call, ParseExpression());
  if (call->kind != ExpressionKind::kCall) return FailAt(statement->line, "expected a call");
  statement->expressions.push_back(std::move(call));
  CONCLAVE_ASSIGN_OR_RETURN(statement->body, FunctionBody("endcall"));
  return statement;
}

Result<Parser::StatementPtr> Parser::ParseGeneration() {
  auto statement = MakeStatement(StatementKind::kGeneration, Next().line);
  CONCLAVE_ASSIGN_OR_RETURN(statement->body, FunctionBody("endgeneration"));
  return statement;
}

Result<Parser::StatementPtr> Parser::ParseFilterBlock() {
  auto statement = MakeStatement(StatementKind::kFilterBlock, Next().line);
  CONCLAVE_ASSIGN_OR_RETURN(auto filter, ParseFilters(nullptr, true));
  statement->expressions.push_back(std::move(filter));
  CONCLAVE_ASSIGN_OR_RETURN(statement->body, Block({"endfilter"}, true));
  return statement;
}

Result<Parser::StatementPtr> Parser::ParseWith() {
  auto statement = MakeStatement(StatementKind::kWith, Next().line);
  while (Current().kind != TokenKind::kBlockEnd) {
    if (!statement->targets.empty()) CONCLAVE_RETURN_IF_ERROR(ExpectOperator(","));
    CONCLAVE_ASSIGN_OR_RETURN(auto target, ParseTarget(false));
    CONCLAVE_RETURN_IF_ERROR(ExpectOperator("="));
    CONCLAVE_ASSIGN_OR_RETURN(auto value, ParseExpression());
    statement->targets.push_back(std::move(target));
    statement->expressions.push_back(std::move(value));
  }
  CONCLAVE_ASSIGN_OR_RETURN(statement->body, Block({"endwith"}, true));
  return statement;
}

Result<Parser::StatementPtr> Parser::ParseLoopControl(StatementKind kind) {
  const Token token = Next();
  if (loop_depth_ == 0) return FailAt(token.line, "'" + token.text + "' outside of a loop");
  return MakeStatement(kind, token.line);
}

}  // namespace conclave::tokenizer
