#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "services/tokenizer/chat_template/ast.h"
#include "services/tokenizer/chat_template/limits.h"
#include "services/tokenizer/chat_template/token.h"

namespace conclave::tokenizer {

/// The children of a node: those of these that are there, in order.
std::vector<ExpressionPtr> Nodes(ExpressionPtr first, ExpressionPtr second = nullptr,
                                 ExpressionPtr third = nullptr);

/// Builds the syntax tree of a template, with the grammar of jinja2's parser. Used once.
class Parser {
 public:
  Parser(std::vector<Token> tokens, const ChatTemplateLimits& limits)
      : tokens_(std::move(tokens)), limits_(limits) {}

  /// Errors: INVALID_ARGUMENT for bad syntax, UNIMPLEMENTED for a tag that is not supported,
  /// RESOURCE_EXHAUSTED for more than limits.syntax_depth levels; each with the line.
  Result<Body> Parse();

 private:
  using StatementPtr = std::unique_ptr<Statement>;

  const Token& Current() const { return tokens_[position_]; }
  const Token& Ahead() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  Token Next();
  bool SkipOperator(std::string_view op);
  bool SkipName(std::string_view name);
  Status Expect(TokenKind kind, std::string_view wanted);
  Status ExpectOperator(std::string_view op);
  Result<Token> ExpectName();
  Status Fail(const std::string& what) const { return FailAt(Current().line, what); }
  Status FailAt(int line, const std::string& what) const;
  Status Unexpected() const { return Fail("unexpected " + Current().Describe()); }

  /// Counts one level deeper for its lifetime.
  class Level;
  Status CheckDepth(int depth) const;

  // parser_statements.cc
  Result<Body> Block(std::initializer_list<std::string_view> ends, bool drop_end);
  Result<Body> Statements(std::initializer_list<std::string_view> ends);
  bool AtEndOf(std::initializer_list<std::string_view> ends) const;
  Result<StatementPtr> ParseStatement();
  Result<StatementPtr> ParseKnownStatement(const std::string& tag);
  Result<StatementPtr> ParsePrint();
  Result<StatementPtr> ParseSet();
  Result<StatementPtr> ParseFor();
  Result<StatementPtr> ParseIf();
  Result<StatementPtr> ParseMacro();
  Result<StatementPtr> ParseCallBlock();
  Result<StatementPtr> ParseGeneration();
  Result<StatementPtr> ParseFilterBlock();
  Result<StatementPtr> ParseWith();
  Result<StatementPtr> ParseLoopControl(StatementKind kind);
  Status ParseSignature(MacroSyntax& macro);
  /// The body of a function: no loop around it can be left from there.
  Result<Body> FunctionBody(std::string_view end);
  StatementPtr MakeStatement(StatementKind kind, int line) const;

  // parser_expressions.cc
  enum class TupleStyle { kFull, kWithoutCondition, kTarget, kNamespaceTarget, kParenthesized };
  Result<ExpressionPtr> ParseExpression(bool with_condition = true);
  Result<ExpressionPtr> ParseCondition();
  Result<ExpressionPtr> ParseOr();
  Result<ExpressionPtr> ParseAnd();
  Result<ExpressionPtr> ParseNot();
  Result<ExpressionPtr> ParseCompare();
  Result<ExpressionPtr> ParseSum();
  Result<ExpressionPtr> ParseConcat();
  Result<ExpressionPtr> ParseProduct();
  Result<ExpressionPtr> ParsePower();
  Result<ExpressionPtr> ParseUnary(bool with_filter = true);
  Result<ExpressionPtr> ParsePrimary(bool with_namespace = false);
  Result<ExpressionPtr> ParseTuple(TupleStyle style, std::string_view end_name = {});
  Result<ExpressionPtr> ParseTupleItem(TupleStyle style);
  Result<ExpressionPtr> ParseTarget(bool with_namespace, std::string_view end_name = {});
  Result<ExpressionPtr> ParseList();
  Result<ExpressionPtr> ParseDict();
  Result<ExpressionPtr> ParsePostfix(ExpressionPtr node);
  Result<ExpressionPtr> ParseFilterOrTest(ExpressionPtr node);
  Result<ExpressionPtr> ParseSubscript(ExpressionPtr node);
  Result<ExpressionPtr> ParseSubscriptPart(ExpressionPtr object);
  Result<ExpressionPtr> ParseSliceParts(ExpressionPtr object, ExpressionPtr start, int line);
  Result<ExpressionPtr> ParseCall(ExpressionPtr node);
  Result<ExpressionPtr> ParseFilters(ExpressionPtr node, bool inline_start);
  Result<ExpressionPtr> ParseTest(ExpressionPtr node);
  Result<CallSyntax> ParseArguments();
  Status ParseArgument(CallSyntax& call, int line);
  Result<std::string> ParseDottedName();
  bool AtTupleEnd(std::string_view end_name) const;
  bool AtTestArgument() const;
  /// A node over `children`, refused when the tree gets too high.
  Result<ExpressionPtr> MakeNode(ExpressionKind kind, int line, std::vector<ExpressionPtr> children);
  Result<ExpressionPtr> MakeBinary(Operator op, int line, ExpressionPtr left, ExpressionPtr right);
  Result<ExpressionPtr> Finish(ExpressionPtr node);
  static ExpressionPtr MakeConstant(Value value, int line);

  std::vector<Token> tokens_;
  const ChatTemplateLimits& limits_;
  size_t position_ = 0;
  int level_ = 0;
  int loop_depth_ = 0;
  /// Tags that are open, innermost last.
  std::vector<std::string> open_tags_;
};

class Parser::Level {
 public:
  explicit Level(Parser& parser) : parser_(parser) { ++parser_.level_; }
  ~Level() { --parser_.level_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  Parser& parser_;
};

}  // namespace conclave::tokenizer
