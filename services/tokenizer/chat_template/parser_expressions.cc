#include <algorithm>

#include "services/tokenizer/chat_template/parser.h"

namespace conclave::tokenizer {
namespace {

struct OperatorName {
  std::string_view text;
  Operator op;
};

constexpr OperatorName kComparisons[] = {{"==", Operator::kEqual},  {"!=", Operator::kNotEqual},
                                         {"<", Operator::kLess},    {"<=", Operator::kLessEqual},
                                         {">", Operator::kGreater}, {">=", Operator::kGreaterEqual}};
constexpr OperatorName kSums[] = {{"+", Operator::kAdd}, {"-", Operator::kSubtract}};
constexpr OperatorName kProducts[] = {{"*", Operator::kMultiply},
                                      {"/", Operator::kDivide},
                                      {"//", Operator::kFloorDivide},
                                      {"%", Operator::kModulo}};

template <size_t kCount>
const OperatorName* Find(const OperatorName (&names)[kCount], const Token& token) {
  if (token.kind != TokenKind::kOperator) return nullptr;
  for (const OperatorName& name : names) {
    if (name.text == token.text) return &name;
  }
  return nullptr;
}

bool IsNegativeConstant(const Expression& node) {
  return node.kind == ExpressionKind::kNegate && node.children[0]->kind == ExpressionKind::kConstant;
}

void Cover(int& depth, const ExpressionPtr& child) {
  if (child) depth = std::max(depth, 1 + child->depth);
}

bool IsTarget(const Expression& node) {
  if (node.kind == ExpressionKind::kName || node.kind == ExpressionKind::kNamespaceRef) return true;
  if (node.kind != ExpressionKind::kTuple) return false;
  return std::all_of(node.children.begin(), node.children.end(),
                     [](const auto& child) { return IsTarget(*child); });
}

}  // namespace

std::vector<ExpressionPtr> Nodes(ExpressionPtr first, ExpressionPtr second, ExpressionPtr third) {
  std::vector<ExpressionPtr> nodes;
  if (first) nodes.push_back(std::move(first));
  if (second) nodes.push_back(std::move(second));
  if (third) nodes.push_back(std::move(third));
  return nodes;
}

Result<ExpressionPtr> Parser::Finish(ExpressionPtr node) {
  for (const ExpressionPtr& child : node->children) Cover(node->depth, child);
  for (const ExpressionPtr& argument : node->call.positional) Cover(node->depth, argument);
  for (const auto& [name, argument] : node->call.named) Cover(node->depth, argument);
  Cover(node->depth, node->call.star);
  Cover(node->depth, node->call.double_star);
  CONCLAVE_RETURN_IF_ERROR(CheckDepth(node->depth));
  return node;
}

Result<ExpressionPtr> Parser::MakeNode(ExpressionKind kind, int line, std::vector<ExpressionPtr> children) {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = line;
  node->children = std::move(children);
  return Finish(std::move(node));
}

Result<ExpressionPtr> Parser::MakeBinary(Operator op, int line, ExpressionPtr left, ExpressionPtr right) {
  CONCLAVE_ASSIGN_OR_RETURN(
      auto node, MakeNode(ExpressionKind::kBinary, line, Nodes(std::move(left), std::move(right))));
  node->operators = {op};
  return node;
}

ExpressionPtr Parser::MakeConstant(Value value, int line) {
  auto node = std::make_unique<Expression>();
  node->line = line;
  node->constant = std::move(value);
  return node;
}

Result<ExpressionPtr> Parser::ParseExpression(bool with_condition) {
  const Level level(*this);
  CONCLAVE_RETURN_IF_ERROR(CheckDepth(level_));
  return with_condition ? ParseCondition() : ParseOr();
}

Result<ExpressionPtr> Parser::ParseCondition() {
  int line = Current().line;
  CONCLAVE_ASSIGN_OR_RETURN(auto value, ParseOr());
  while (SkipName("if")) {
    CONCLAVE_ASSIGN_OR_RETURN(auto test, ParseOr());
    ExpressionPtr otherwise;
    if (SkipName("else")) {
      CONCLAVE_ASSIGN_OR_RETURN(otherwise, ParseExpression());
    }
    CONCLAVE_ASSIGN_OR_RETURN(value,
                              MakeNode(ExpressionKind::kCondition, line,
                                       Nodes(std::move(test), std::move(value), std::move(otherwise))));
    line = Current().line;
  }
  return value;
}

Result<ExpressionPtr> Parser::ParseOr() {
  const int line = Current().line;
  CONCLAVE_ASSIGN_OR_RETURN(auto left, ParseAnd());
  while (SkipName("or")) {
    CONCLAVE_ASSIGN_OR_RETURN(auto right, ParseAnd());
    CONCLAVE_ASSIGN_OR_RETURN(left,
                              MakeNode(ExpressionKind::kOr, line, Nodes(std::move(left), std::move(right))));
  }
  return left;
}

Result<ExpressionPtr> Parser::ParseAnd() {
  const int line = Current().line;
  CONCLAVE_ASSIGN_OR_RETURN(auto left, ParseNot());
  while (SkipName("and")) {
    CONCLAVE_ASSIGN_OR_RETURN(auto right, ParseNot());
    CONCLAVE_ASSIGN_OR_RETURN(left,
                              MakeNode(ExpressionKind::kAnd, line, Nodes(std::move(left), std::move(right))));
  }
  return left;
}

Result<ExpressionPtr> Parser::ParseNot() {
  if (!Current().IsName("not")) return ParseCompare();
  const Level level(*this);
  CONCLAVE_RETURN_IF_ERROR(CheckDepth(level_));
  const int line = Next().line;
  CONCLAVE_ASSIGN_OR_RETURN(auto operand, ParseNot());
  return MakeNode(ExpressionKind::kNot, line, Nodes(std::move(operand)));
}

Result<ExpressionPtr> Parser::ParseCompare() {
  const int line = Current().line;
  CONCLAVE_ASSIGN_OR_RETURN(auto first, ParseSum());
  std::vector<ExpressionPtr> operands = Nodes(std::move(first));
  std::vector<Operator> operators;
  while (true) {
    if (const OperatorName* found = Find(kComparisons, Current())) {
      Next();
      operators.push_back(found->op);
    } else if (SkipName("in")) {
      operators.push_back(Operator::kIn);
    } else if (Current().IsName("not") && Ahead().IsName("in")) {
      Next();
      Next();
      operators.push_back(Operator::kNotIn);
    } else {
      break;
    }
    CONCLAVE_ASSIGN_OR_RETURN(auto operand, ParseSum());
    operands.push_back(std::move(operand));
  }
  if (operators.empty()) return std::move(operands[0]);
  CONCLAVE_ASSIGN_OR_RETURN(auto node, MakeNode(ExpressionKind::kCompare, line, std::move(operands)));
  node->operators = std::move(operators);
  return node;
}

Result<ExpressionPtr> Parser::ParseSum() {
  const int line = Current().line;
  CONCLAVE_ASSIGN_OR_RETURN(auto left, ParseConcat());
  while (const OperatorName* found = Find(kSums, Current())) {
    Next();
    CONCLAVE_ASSIGN_OR_RETURN(auto right, ParseConcat());
    CONCLAVE_ASSIGN_OR_RETURN(left, MakeBinary(found->op, line, std::move(left), std::move(right)));
  }
  return left;
}

Result<ExpressionPtr> Parser::ParseConcat() {
  const int line = Current().line;
  CONCLAVE_ASSIGN_OR_RETURN(auto first, ParseProduct());
  if (!Current().IsOperator("~")) return first;
  std::vector<ExpressionPtr> parts = Nodes(std::move(first));
  while (SkipOperator("~")) {
    CONCLAVE_ASSIGN_OR_RETURN(auto part, ParseProduct());
    parts.push_back(std::move(part));
  }
  return MakeNode(ExpressionKind::kConcat, line, std::move(parts));
}

Result<ExpressionPtr> Parser::ParseProduct() {
  const int line = Current().line;
  CONCLAVE_ASSIGN_OR_RETURN(auto left, ParsePower());
  while (const OperatorName* found = Find(kProducts, Current())) {
    Next();
    CONCLAVE_ASSIGN_OR_RETURN(auto right, ParsePower());
    CONCLAVE_ASSIGN_OR_RETURN(left, MakeBinary(found->op, line, std::move(left), std::move(right)));
  }
  return left;
}

Result<ExpressionPtr> Parser::ParsePower() {
  const int line = Current().line;
  CONCLAVE_ASSIGN_OR_RETURN(auto left, ParseUnary());
  while (SkipOperator("**")) {
    CONCLAVE_ASSIGN_OR_RETURN(auto right, ParseUnary());
    // jinja2 writes a negative constant into Python code, where the sign binds looser than the power.
    const bool sign_outside =
        IsNegativeConstant(*left) && right->kind != ExpressionKind::kConstant && !IsNegativeConstant(*right);
    if (sign_outside) left = std::move(left->children[0]);
    CONCLAVE_ASSIGN_OR_RETURN(left, MakeBinary(Operator::kPower, line, std::move(left), std::move(right)));
    if (!sign_outside) continue;
    CONCLAVE_ASSIGN_OR_RETURN(left, MakeNode(ExpressionKind::kNegate, line, Nodes(std::move(left))));
  }
  return left;
}

Result<ExpressionPtr> Parser::ParseUnary(bool with_filter) {
  const Level level(*this);
  CONCLAVE_RETURN_IF_ERROR(CheckDepth(level_));
  const int line = Current().line;
  ExpressionPtr node;
  if (Current().IsOperator("-") || Current().IsOperator("+")) {
    const bool negate = Next().text == "-";
    CONCLAVE_ASSIGN_OR_RETURN(auto operand, ParseUnary(false));
    CONCLAVE_ASSIGN_OR_RETURN(node, MakeNode(negate ? ExpressionKind::kNegate : ExpressionKind::kPlus, line,
                                             Nodes(std::move(operand))));
  } else {
    CONCLAVE_ASSIGN_OR_RETURN(node, ParsePrimary());
  }
  CONCLAVE_ASSIGN_OR_RETURN(node, ParsePostfix(std::move(node)));
  if (!with_filter) return node;
  return ParseFilterOrTest(std::move(node));
}

Result<ExpressionPtr> Parser::ParsePrimary(bool with_namespace) {
  if (Current().IsOperator("[")) return ParseList();
  if (Current().IsOperator("{")) return ParseDict();
  const Token token = Next();
  if (token.IsOperator("(")) {
    CONCLAVE_ASSIGN_OR_RETURN(auto inner, ParseTuple(TupleStyle::kParenthesized));
    CONCLAVE_RETURN_IF_ERROR(ExpectOperator(")"));
    return inner;
  }
  if (token.kind == TokenKind::kString) {
    std::string text = token.text;
    while (Current().kind == TokenKind::kString) text += Next().text;
    return MakeConstant(Value::String(std::move(text)), token.line);
  }
  if (token.kind == TokenKind::kInteger) return MakeConstant(Value::Int(token.integer), token.line);
  if (token.kind == TokenKind::kFloat) return MakeConstant(Value::Float(token.number), token.line);
  if (token.kind != TokenKind::kName) return FailAt(token.line, "unexpected " + token.Describe());
  if (token.text == "true" || token.text == "True") return MakeConstant(Value::Bool(true), token.line);
  if (token.text == "false" || token.text == "False") return MakeConstant(Value::Bool(false), token.line);
  if (token.text == "none" || token.text == "None") return MakeConstant(Value(), token.line);
  auto node = std::make_unique<Expression>();
  node->kind = ExpressionKind::kName;
  node->line = token.line;
  node->name = token.text;
  if (with_namespace && SkipOperator(".")) {
    CONCLAVE_ASSIGN_OR_RETURN(Token attribute, ExpectName());
    node->kind = ExpressionKind::kNamespaceRef;
    node->attribute = attribute.text;
  }
  return node;
}

bool Parser::AtTupleEnd(std::string_view end_name) const {
  if (Current().kind == TokenKind::kVariableEnd || Current().kind == TokenKind::kBlockEnd) return true;
  return Current().IsOperator(")") || (!end_name.empty() && Current().IsName(end_name));
}

Result<ExpressionPtr> Parser::ParseTupleItem(TupleStyle style) {
  switch (style) {
    case TupleStyle::kTarget:
    case TupleStyle::kNamespaceTarget: {
      const Level level(*this);
      CONCLAVE_RETURN_IF_ERROR(CheckDepth(level_));
      return ParsePrimary(style == TupleStyle::kNamespaceTarget);
    }
    case TupleStyle::kWithoutCondition: return ParseExpression(false);
    default: return ParseExpression(true);
  }
}

Result<ExpressionPtr> Parser::ParseTuple(TupleStyle style, std::string_view end_name) {
  const int line = Current().line;
  std::vector<ExpressionPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) CONCLAVE_RETURN_IF_ERROR(ExpectOperator(","));
    if (AtTupleEnd(end_name)) break;
    CONCLAVE_ASSIGN_OR_RETURN(auto item, ParseTupleItem(style));
    items.push_back(std::move(item));
    if (!Current().IsOperator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return std::move(items[0]);
  if (!is_tuple && style != TupleStyle::kParenthesized) {
    return Fail("expected an expression, got " + Current().Describe());
  }
  return MakeNode(ExpressionKind::kTuple, line, std::move(items));
}

Result<ExpressionPtr> Parser::ParseTarget(bool with_namespace, std::string_view end_name) {
  CONCLAVE_ASSIGN_OR_RETURN(
      auto target, ParseTuple(with_namespace ? TupleStyle::kNamespaceTarget : TupleStyle::kTarget, end_name));
  if (!IsTarget(*target)) return FailAt(target->line, "cannot assign to this expression");
  return target;
}

Result<ExpressionPtr> Parser::ParseList() {
  const int line = Next().line;
  std::vector<ExpressionPtr> items;
  while (!Current().IsOperator("]")) {
    if (!items.empty()) CONCLAVE_RETURN_IF_ERROR(ExpectOperator(","));
    if (Current().IsOperator("]")) break;
    CONCLAVE_ASSIGN_OR_RETURN(auto item, ParseExpression());
    items.push_back(std::move(item));
  }
  Next();
  return MakeNode(ExpressionKind::kList, line, std::move(items));
}

Result<ExpressionPtr> Parser::ParseDict() {
  const int line = Next().line;
  std::vector<ExpressionPtr> items;
  while (!Current().IsOperator("}")) {
    if (!items.empty()) CONCLAVE_RETURN_IF_ERROR(ExpectOperator(","));
    if (Current().IsOperator("}")) break;
    CONCLAVE_ASSIGN_OR_RETURN(auto key, ParseExpression());
    CONCLAVE_RETURN_IF_ERROR(ExpectOperator(":"));
    CONCLAVE_ASSIGN_OR_RETURN(auto value, ParseExpression());
    items.push_back(std::move(key));
    items.push_back(std::move(value));
  }
  Next();
  return MakeNode(ExpressionKind::kDict, line, std::move(items));
}

}  // namespace conclave::tokenizer
