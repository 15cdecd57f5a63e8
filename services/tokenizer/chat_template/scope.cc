#include "services/tokenizer/chat_template/scope.h"

#include <algorithm>

#include "services/tokenizer/chat_template/symbols.h"
#include "services/tokenizer/chat_template/syntax_walk.h"
#include "services/tokenizer/chat_template/undeclared.h"

namespace conclave::tokenizer {
namespace {

/// Keeps the slots of a loop's condition apart from those of its body, which runs in between.
constexpr int kTestLevels = 1'000'000;

// What a block reads and assigns, collected before its names are resolved.

void CollectExpression(const Expression& node, Symbols& symbols) {
  if (node.kind == ExpressionKind::kName || node.kind == ExpressionKind::kNamespaceRef)
    symbols.Load(node.name);
  ForEachChild(node, [&](const Expression& child) { CollectExpression(child, symbols); });
}

void CollectTarget(const Expression& target, Symbols& symbols, bool parameter) {
  if (target.kind == ExpressionKind::kNamespaceRef) symbols.Load(target.name);
  if (target.kind == ExpressionKind::kName && parameter) symbols.DeclareParameter(target.name);
  if (target.kind == ExpressionKind::kName && !parameter) symbols.Store(target.name);
  for (const auto& child : target.children) CollectTarget(*child, symbols, parameter);
}

void CollectBody(const Body& body, Symbols& symbols);

void CollectIf(const std::vector<IfBranch>& branches, Symbols& symbols) {
  CollectExpression(*branches[0].test, symbols);
  Symbols first = symbols;
  CollectBody(branches[0].body, first);
  Symbols middle = symbols;
  Symbols last = symbols;
  for (size_t i = 1; i < branches.size(); ++i) {
    if (!branches[i].test) {
      CollectBody(branches[i].body, last);
      continue;
    }
    CollectExpression(*branches[i].test, middle);
    Symbols inner = middle;
    CollectBody(branches[i].body, inner);
    middle.MergeBranches({std::move(inner)});
  }
  symbols.MergeBranches({std::move(first), std::move(middle), std::move(last)});
}

void CollectStatement(const Statement& statement, Symbols& symbols) {
  switch (statement.kind) {
    case StatementKind::kIf: CollectIf(statement.branches, symbols); return;
    case StatementKind::kMacro: symbols.Store(statement.macro.name); return;
    case StatementKind::kSetBlock: CollectTarget(*statement.targets[0], symbols, false); return;
    default: break;
  }
  for (const auto& expression : statement.expressions) CollectExpression(*expression, symbols);
  if (statement.kind == StatementKind::kSet) CollectTarget(*statement.targets[0], symbols, false);
}

void CollectBody(const Body& body, Symbols& symbols) {
  for (const auto& statement : body) CollectStatement(*statement, symbols);
}

void CollectMacro(const Statement& statement, Symbols& symbols) {
  for (const std::string& parameter : statement.macro.parameters) symbols.DeclareParameter(parameter);
  for (const auto& value : statement.macro.defaults) CollectExpression(*value, symbols);
  CollectBody(statement.body, symbols);
}

/// Gives every name its variable, block by block.
class Resolver {
 public:
  explicit Resolver(const ChatTemplateLimits& limits) : limits_(limits) {}

  FunctionScope MakeFunction(int depth) const {
    FunctionScope function;
    function.depth = depth;
    function.slot_limit = limits_.variables;
    return function;
  }

  Status CheckRoom(const FunctionScope& function) const {
    if (!function.overflow) return Status::Ok();
    return ResourceExhausted("the chat template exceeds the limit variables of " +
                             std::to_string(limits_.variables));
  }

  Status ResolveBody(Body& body, const Symbols& symbols) {
    for (const auto& statement : body) CONCLAVE_RETURN_IF_ERROR(ResolveStatement(*statement, symbols));
    return Status::Ok();
  }

 private:
  void ResolveExpression(Expression& node, const Symbols& symbols) {
    if (node.kind == ExpressionKind::kName || node.kind == ExpressionKind::kNamespaceRef) {
      node.variable = symbols.Ref(node.name);
    }
    ForEachChild(node, [&](Expression& child) { ResolveExpression(child, symbols); });
  }

  Status CheckTarget(const Expression& target) const {
    if (target.kind == ExpressionKind::kName && target.name == "loop" && loops_ > 0) {
      return InvalidArgument("chat template, line " + std::to_string(target.line) +
                             ": cannot assign to the special variable 'loop' in a for loop");
    }
    for (const auto& child : target.children) CONCLAVE_RETURN_IF_ERROR(CheckTarget(*child));
    return Status::Ok();
  }

  Status ResolveStatement(Statement& statement, const Symbols& symbols) {
    switch (statement.kind) {
      case StatementKind::kFor: return ResolveFor(statement, symbols);
      case StatementKind::kMacro:
        statement.variable = symbols.Ref(statement.macro.name);
        return ResolveMacro(statement, symbols);
      case StatementKind::kCallBlock:
        ResolveExpression(*statement.expressions[0], symbols);
        return ResolveMacro(statement, symbols);
      case StatementKind::kGeneration: return ResolveMacro(statement, symbols);
      case StatementKind::kWith: return ResolveWith(statement, symbols);
      case StatementKind::kSetBlock:
      case StatementKind::kFilterBlock: return ResolveCapture(statement, symbols);
      default: break;
    }
    for (const auto& expression : statement.expressions) ResolveExpression(*expression, symbols);
    for (const auto& target : statement.targets) {
      CONCLAVE_RETURN_IF_ERROR(CheckTarget(*target));
      ResolveExpression(*target, symbols);
    }
    for (IfBranch& branch : statement.branches) {
      if (branch.test) ResolveExpression(*branch.test, symbols);
      CONCLAVE_RETURN_IF_ERROR(ResolveBody(branch.body, symbols));
    }
    return Status::Ok();
  }

  Status ResolveFor(Statement& statement, const Symbols& symbols) {
    ResolveExpression(*statement.expressions[0], symbols);
    ++loops_;
    CONCLAVE_RETURN_IF_ERROR(CheckTarget(*statement.targets[0]));
    if (statement.test) ResolveTest(statement, symbols);
    Symbols inside(symbols.function(), &symbols, symbols.level() + 1);
    if (FindUndeclared(statement.body, {"loop"}).contains("loop")) {
      statement.loop_slot = inside.DeclareParameter("loop");
    }
    CollectTarget(*statement.targets[0], inside, true);
    CollectBody(statement.body, inside);
    ResolveExpression(*statement.targets[0], inside);
    CONCLAVE_RETURN_IF_ERROR(ResolveBody(statement.body, inside));
    CONCLAVE_RETURN_IF_ERROR(Frame(inside, statement.line, statement.frame));

    Symbols otherwise(symbols.function(), &symbols, symbols.level() + 1);
    CollectBody(statement.otherwise, otherwise);
    CONCLAVE_RETURN_IF_ERROR(ResolveBody(statement.otherwise, otherwise));
    --loops_;
    return Frame(otherwise, statement.line, statement.otherwise_frame);
  }

  void ResolveTest(Statement& statement, const Symbols& symbols) {
    Symbols test(symbols.function(), &symbols, symbols.level() + 1 + kTestLevels);
    CollectTarget(*statement.test_target, test, true);
    CollectExpression(*statement.test, test);
    ResolveExpression(*statement.test_target, test);
    ResolveExpression(*statement.test, test);
    statement.test_frame = test.MakeFrame();
  }

  Status ResolveWith(Statement& statement, const Symbols& symbols) {
    for (const auto& value : statement.expressions) ResolveExpression(*value, symbols);
    Symbols inside(symbols.function(), &symbols, symbols.level() + 1);
    for (const auto& target : statement.targets) CollectTarget(*target, inside, true);
    CollectBody(statement.body, inside);
    for (const auto& target : statement.targets) ResolveExpression(*target, inside);
    CONCLAVE_RETURN_IF_ERROR(ResolveBody(statement.body, inside));
    return Frame(inside, statement.line, statement.frame);
  }

  Status ResolveCapture(Statement& statement, const Symbols& symbols) {
    for (const auto& target : statement.targets) {
      CONCLAVE_RETURN_IF_ERROR(CheckTarget(*target));
      ResolveExpression(*target, symbols);
    }
    Symbols inside(symbols.function(), &symbols, symbols.level() + 1);
    CollectBody(statement.body, inside);
    for (const auto& filter : statement.expressions) CollectExpression(*filter, inside);
    for (const auto& filter : statement.expressions) ResolveExpression(*filter, inside);
    CONCLAVE_RETURN_IF_ERROR(ResolveBody(statement.body, inside));
    return Frame(inside, statement.line, statement.frame);
  }

  Status ResolveMacro(Statement& statement, const Symbols& symbols) {
    MacroSyntax& macro = statement.macro;
    FunctionScope function = MakeFunction(symbols.function().depth + 1);
    Symbols inside(function, &symbols, symbols.level() + 1);
    CollectMacro(statement, inside);
    const auto special = FindUndeclared(statement.body, {"caller", "kwargs", "varargs"});
    const auto declare = [&](const std::string& name) {
      const bool taken =
          std::find(macro.parameters.begin(), macro.parameters.end(), name) != macro.parameters.end();
      return special.contains(name) && !taken ? inside.DeclareParameter(name) : -1;
    };
    macro.caller_slot = declare("caller");
    const auto without_default = macro.parameters.end() - static_cast<std::ptrdiff_t>(macro.defaults.size());
    if (special.contains("caller") &&
        std::find(macro.parameters.begin(), without_default, "caller") != without_default) {
      return InvalidArgument("chat template, line " + std::to_string(statement.line) +
                             ": the parameter 'caller' needs a default");
    }
    macro.kwargs_slot = declare("kwargs");
    macro.varargs_slot = declare("varargs");
    CollectMacro(statement, inside);  // Again, as jinja2 does, now that the special variables are known.
    for (const std::string& parameter : macro.parameters)
      macro.parameter_slots.push_back(inside.Ref(parameter).slot);
    for (const auto& value : macro.defaults) ResolveExpression(*value, inside);
    CONCLAVE_RETURN_IF_ERROR(ResolveBody(statement.body, inside));
    CONCLAVE_RETURN_IF_ERROR(Frame(inside, statement.line, statement.frame));
    macro.slot_count = function.slot_count;
    return CheckRoom(function);
  }

 public:
  static Status Frame(const Symbols& symbols, int line, FrameInfo& frame) {
    frame = symbols.MakeFrame();
    for (const VariableLoad& load : frame.loads) {
      if (load.action != VariableLoad::Action::kFromContext || load.name != "self") continue;
      return Unimplemented("chat template, line " + std::to_string(line) +
                           ": the variable 'self' is not supported");
    }
    return Status::Ok();
  }

 private:
  const ChatTemplateLimits& limits_;
  int loops_ = 0;
};

}  // namespace

Status ResolveVariables(TemplateSyntax& syntax, const ChatTemplateLimits& limits) {
  Resolver resolver(limits);
  FunctionScope function = resolver.MakeFunction(0);
  Symbols symbols(function, nullptr, 0);
  CollectBody(syntax.body, symbols);
  CONCLAVE_RETURN_IF_ERROR(resolver.ResolveBody(syntax.body, symbols));
  CONCLAVE_RETURN_IF_ERROR(Resolver::Frame(symbols, 1, syntax.frame));
  syntax.slot_count = function.slot_count;
  return resolver.CheckRoom(function);
}

}  // namespace conclave::tokenizer
