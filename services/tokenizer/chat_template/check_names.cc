#include "services/tokenizer/chat_template/filters.h"
#include "services/tokenizer/chat_template/scope.h"
#include "services/tokenizer/chat_template/syntax_walk.h"

namespace conclave::tokenizer {
namespace {

Status Refuse(const Expression& node, const std::string& kind) {
  return Unimplemented("chat template, line " + std::to_string(node.line) + ": the " + kind + " '" +
                       node.name + "' is not supported");
}

/// `conditional`: inside of an if, where an unknown name is an error only once it is reached.
Status CheckExpression(const Expression& node, bool conditional) {
  if (node.kind == ExpressionKind::kFilter && !conditional && FindFilter(node.name) == nullptr) {
    return Refuse(node, "filter");
  }
  if (node.kind == ExpressionKind::kTest && !conditional && !HasTest(node.name)) return Refuse(node, "test");
  Status status;
  const bool inner = conditional || node.kind == ExpressionKind::kCondition;
  ForEachChild(node, [&](const Expression& child) {
    if (status.ok()) status = CheckExpression(child, inner);
  });
  return status;
}

Status CheckBody(const Body& body, bool conditional) {
  for (const auto& statement : body) {
    const bool is_block_filter =
        statement->kind == StatementKind::kSetBlock || statement->kind == StatementKind::kFilterBlock;
    for (const auto& expression : statement->expressions) {
      CONCLAVE_RETURN_IF_ERROR(CheckExpression(*expression, conditional && !is_block_filter));
    }
    for (const auto& value : statement->macro.defaults)
      CONCLAVE_RETURN_IF_ERROR(CheckExpression(*value, false));
    if (statement->test) CONCLAVE_RETURN_IF_ERROR(CheckExpression(*statement->test, false));
    for (const IfBranch& branch : statement->branches) {
      if (branch.test) CONCLAVE_RETURN_IF_ERROR(CheckExpression(*branch.test, true));
      CONCLAVE_RETURN_IF_ERROR(CheckBody(branch.body, true));
    }
    CONCLAVE_RETURN_IF_ERROR(CheckBody(statement->body, false));
    CONCLAVE_RETURN_IF_ERROR(CheckBody(statement->otherwise, false));
  }
  return Status::Ok();
}

}  // namespace

Status CheckNames(const TemplateSyntax& syntax) { return CheckBody(syntax.body, false); }

}  // namespace conclave::tokenizer
