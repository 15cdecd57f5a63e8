#include "services/tokenizer/chat_template/undeclared.h"

#include "services/tokenizer/chat_template/syntax_walk.h"

namespace conclave::tokenizer {
namespace {

class Finder {
 public:
  explicit Finder(std::set<std::string> names) : names_(std::move(names)) {}

  void Visit(const Body& body) {
    for (const auto& statement : body) Visit(*statement);
  }

  std::set<std::string> found;

 private:
  void Read(const Expression& node) {
    if (node.kind == ExpressionKind::kName && names_.contains(node.name)) found.insert(node.name);
    ForEachChild(node, [this](const Expression& child) { Read(child); });
  }

  void Assign(const Expression& target) {
    if (target.kind == ExpressionKind::kName) names_.erase(target.name);
    for (const auto& child : target.children) Assign(*child);
  }

  void Read(const std::vector<ExpressionPtr>& nodes) {
    for (const auto& node : nodes) Read(*node);
  }

  void Visit(const Statement& statement) {
    const bool values_first = statement.kind == StatementKind::kCallBlock;
    if (values_first) Read(statement.expressions);
    for (const auto& target : statement.targets) Assign(*target);
    for (const std::string& parameter : statement.macro.parameters) names_.erase(parameter);
    Read(statement.macro.defaults);
    if (!values_first && statement.kind != StatementKind::kFilterBlock) Read(statement.expressions);
    for (const IfBranch& branch : statement.branches) {
      if (branch.test) Read(*branch.test);
      Visit(branch.body);
    }
    Visit(statement.body);
    Visit(statement.otherwise);
    if (statement.test) Read(*statement.test);
    if (statement.kind == StatementKind::kFilterBlock) Read(statement.expressions);
  }

  std::set<std::string> names_;
};

}  // namespace

std::set<std::string> FindUndeclared(const Body& body, std::set<std::string> names) {
  Finder finder(std::move(names));
  finder.Visit(body);
  return std::move(finder.found);
}

}  // namespace conclave::tokenizer
