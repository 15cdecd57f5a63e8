#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "services/tokenizer/chat_template/value.h"

namespace conclave::tokenizer {

struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Body = std::vector<std::unique_ptr<Statement>>;

/// Where a variable lives: so many functions out from the one that runs, at a slot of its activation.
struct VariableRef {
  int hops = 0;
  int slot = -1;
};

enum class ExpressionKind {
  kConstant,
  kName,
  /// name.attribute as the target of an assignment.
  kNamespaceRef,
  kTuple,
  kList,
  /// children: key, value, key, value...
  kDict,
  /// children: test, value, and the alternative unless it was left out.
  kCondition,
  /// children[0]: the input; null in a filter block.
  kFilter,
  kTest,
  kCall,
  /// children: object, key.
  kItem,
  /// children: object.
  kAttribute,
  /// children: object, start, stop, step; the last three may be null.
  kSlice,
  /// children: what is joined by ~.
  kConcat,
  /// children: operands, `operators` between them.
  kCompare,
  kAnd,
  kOr,
  kNot,
  kNegate,
  kPlus,
  /// children: left, right; `operators[0]`.
  kBinary
};

enum class Operator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn
};

/// What stands between the parentheses of a call, a filter or a test.
struct CallSyntax {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  /// *expression and **expression; may be null.
  ExpressionPtr star;
  ExpressionPtr double_star;
};

struct Expression {
  ExpressionKind kind = ExpressionKind::kConstant;
  int line = 0;
  /// Levels of expressions below and with this one.
  int depth = 1;
  /// The variable, attribute, filter or test.
  std::string name;
  /// kNamespaceRef: the attribute.
  std::string attribute;
  Value constant;
  std::vector<ExpressionPtr> children;
  std::vector<Operator> operators;
  CallSyntax call;
  /// kName and kNamespaceRef: filled by ResolveVariables.
  VariableRef variable;
};

enum class StatementKind {
  kText,
  kPrint,
  kSet,
  kSetBlock,
  kFor,
  kIf,
  kMacro,
  kCallBlock,
  /// The `generation` tag of transformers: a call block that prints its own body.
  kGeneration,
  kFilterBlock,
  kWith,
  kBreak,
  kContinue
};

/// What a variable of a frame is set to when the frame is entered.
struct VariableLoad {
  enum class Action { kFromContext, kCopy, kMissing };
  Action action = Action::kMissing;
  int slot = -1;
  std::string name;
  VariableRef source;
};

using FrameLoads = std::vector<VariableLoad>;

/// A macro's, call block's or for loop's own variables: filled by ResolveVariables.
struct FrameInfo {
  FrameLoads loads;
  /// Slots that are emptied when the frame is left.
  std::vector<int> leave_slots;
};

struct IfBranch {
  /// Null for else.
  ExpressionPtr test;
  Body body;
};

struct MacroSyntax {
  std::string name;
  std::vector<std::string> parameters;
  /// Of the last parameters.
  std::vector<ExpressionPtr> defaults;
  std::vector<int> parameter_slots;
  /// Slots of the special variables, -1 when the body does not use them.
  int caller_slot = -1;
  int varargs_slot = -1;
  int kwargs_slot = -1;
  /// The number of variables of the activation.
  int slot_count = 0;
};

struct Statement {
  StatementKind kind = StatementKind::kText;
  int line = 0;
  std::string text;
  /// kPrint: what to print. kSet: the value. kFor: what to go through. kCallBlock: the call. kWith: the
  /// values. kSetBlock and kFilterBlock: the filter, or none.
  std::vector<ExpressionPtr> expressions;
  /// kSet, kSetBlock, kFor, kWith: names, tuples of names, namespace attributes.
  std::vector<ExpressionPtr> targets;
  Body body;
  /// kFor: when there was nothing to go through.
  Body otherwise;
  std::vector<IfBranch> branches;
  /// kFor: the condition behind "if", with a target and variables of its own.
  ExpressionPtr test;
  ExpressionPtr test_target;
  FrameInfo test_frame;
  FrameInfo frame;
  FrameInfo otherwise_frame;
  /// kFor: -1 when the body does not use `loop`.
  int loop_slot = -1;
  MacroSyntax macro;
  /// kMacro: where the macro itself is stored.
  VariableRef variable;
};

struct TemplateSyntax {
  Body body;
  FrameInfo frame;
  int slot_count = 0;
};

}  // namespace conclave::tokenizer
