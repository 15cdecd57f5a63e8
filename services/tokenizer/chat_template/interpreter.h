#pragma once

#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "services/tokenizer/chat_template/arguments.h"
#include "services/tokenizer/chat_template/ast.h"
#include "services/tokenizer/chat_template/budget.h"
#include "services/tokenizer/chat_template/chat_template.h"
#include "services/tokenizer/chat_template/iteration.h"
#include "services/tokenizer/chat_template/object.h"

namespace conclave::tokenizer {

/// The variables of one run of the template or of a macro. A slot that was never set holds an undefined
/// value without a description.
struct Activation {
  std::shared_ptr<Activation> parent;
  std::vector<Value> slots;
  /// Something else holds on to it, so that it is emptied when the rendering ends.
  bool tracked = false;
};

/// One rendering of a template. Used once, by one thread.
class Interpreter {
 public:
  Interpreter(const TemplateSyntax& syntax, const ChatTemplateLimits& limits, const TemplateInput& input);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  /// Errors carry the line, except for the texts of raise_exception.
  Result<std::string> Run();

  Budget& budget() { return budget_; }
  const std::tm& now() const { return now_; }

  /// Calls a macro, a method or a function. call.cc
  Result<Value> Call(const Value& callee, const Arguments& arguments);
  /// value|name(arguments) and value is name(arguments). Defined in filters.cc and tests.cc.
  Result<Value> ApplyFilter(std::string_view name, const Value& input, const Arguments& arguments);
  Result<bool> ApplyTest(std::string_view name, const Value& input, const Arguments& arguments);

  /// The error of raise_exception.
  Status Raise(std::string message);
  /// Has `object` cleared at the end, so that what holds itself is freed.
  void Track(std::shared_ptr<Object> object) { tracked_objects_.push_back(std::move(object)); }

 private:
  enum class Flow { kNext, kBreak, kContinue };

  // interpreter.cc: statements
  Result<Flow> Execute(const Body& body);
  Result<Flow> ExecuteStatement(const Statement& statement);
  Result<Flow> ExecuteIf(const Statement& statement);
  Result<Flow> ExecuteWith(const Statement& statement);
  Result<Flow> ExecuteCapture(const Statement& statement);
  Status ExecuteSet(const Statement& statement);
  Status Emit(std::string_view text);
  Status Print(const Value& value);

  // loops.cc
  class FilteredItems;
  Result<Flow> ExecuteFor(const Statement& statement);
  Result<Flow> RunLoop(const Statement& statement, ValueIterator& items, bool& any);
  Result<Flow> RunLoopWithVariable(const Statement& statement, const Value& source,
                                   std::unique_ptr<ValueIterator> items, bool& any);
  Result<Flow> RunBody(const Statement& statement);

  // assignment.cc
  Status Assign(const Expression& target, Value value);
  Status Unpack(const Expression& target, const Value& value);
  Status CheckNamespaces(const Expression& target);
  Value& Slot(const VariableRef& variable);
  Status EnterFrame(const FrameInfo& frame);
  void LeaveFrame(const FrameInfo& frame);

  // evaluate.cc: expressions
  Result<Value> Evaluate(const Expression& node);
  Result<Value> EvaluateInner(const Expression& node);
  Result<Value> EvaluateName(const Expression& node);
  Result<std::vector<Value>> EvaluateAll(const std::vector<ExpressionPtr>& nodes);
  Result<Value> EvaluateDict(const Expression& node);
  Result<Value> EvaluateCondition(const Expression& node);
  Result<Value> EvaluateLogic(const Expression& node);
  Result<Value> EvaluateConcat(const Expression& node);
  Result<Value> EvaluateCompare(const Expression& node);
  Result<Value> EvaluateSlice(const Expression& node);
  Result<Value> EvaluateFilter(const Expression& node);
  Result<Value> EvaluateTest(const Expression& node);
  Result<Value> EvaluateCall(const Expression& node);
  Result<Arguments> EvaluateArguments(const CallSyntax& call);

  // call.cc
  Result<Value> MakeMacro(const Statement& statement);
  Result<Value> CallMacro(const MacroObject& macro, const Arguments& arguments);
  Result<Value> RunMacro(const MacroObject& macro, std::shared_ptr<Activation> activation);
  Status BindMacro(const MacroSyntax& macro, const Arguments& arguments, std::vector<Value>& slots);
  Status ExecuteCallBlock(const Statement& statement);

  const TemplateSyntax& syntax_;
  const std::tm now_;
  Budget budget_;
  std::map<std::string, Value, std::less<>> context_;
  std::shared_ptr<Activation> activation_;
  std::vector<std::shared_ptr<Activation>> tracked_activations_;
  std::vector<std::shared_ptr<Object>> tracked_objects_;
  /// Where text goes: the output, or what a macro or block captures.
  std::string* out_ = nullptr;
  std::string output_;
  /// What the filter of a filter block works on.
  Value block_text_;
  int depth_ = 0;
  int line_ = 0;
  bool raised_ = false;
};

}  // namespace conclave::tokenizer
