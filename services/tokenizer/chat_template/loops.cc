#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/loop_object.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {

/// The items for which the condition behind "if" holds; it is evaluated as late as possible, between the
/// rounds of the loop.
class Interpreter::FilteredItems : public ValueIterator {
 public:
  FilteredItems(Interpreter& interpreter, const Statement& statement, std::unique_ptr<ValueIterator> items)
      : interpreter_(interpreter),
        statement_(statement),
        items_(std::move(items)),
        activation_(interpreter.activation_) {}

  Result<bool> Next(Value& item) override {
    const auto caller = std::exchange(interpreter_.activation_, activation_);
    auto result = NextInside(item);
    interpreter_.activation_ = caller;
    return result;
  }

 private:
  Result<bool> NextInside(Value& item) {
    if (!std::exchange(started_, true))
      CONCLAVE_RETURN_IF_ERROR(interpreter_.EnterFrame(statement_.test_frame));
    while (true) {
      CONCLAVE_ASSIGN_OR_RETURN(const bool more, items_->Next(item));
      if (!more) return false;
      CONCLAVE_RETURN_IF_ERROR(interpreter_.Assign(*statement_.test_target, item));
      CONCLAVE_ASSIGN_OR_RETURN(const Value keep, interpreter_.Evaluate(*statement_.test));
      if (IsTrue(keep)) return true;
    }
  }

  Interpreter& interpreter_;
  const Statement& statement_;
  std::unique_ptr<ValueIterator> items_;
  std::shared_ptr<Activation> activation_;
  bool started_ = false;
};

Result<Interpreter::Flow> Interpreter::RunBody(const Statement& statement) {
  CONCLAVE_RETURN_IF_ERROR(EnterFrame(statement.frame));
  CONCLAVE_ASSIGN_OR_RETURN(const Flow flow, Execute(statement.body));
  line_ = statement.line;
  return flow;
}

Result<Interpreter::Flow> Interpreter::RunLoop(const Statement& statement, ValueIterator& items, bool& any) {
  Value item;
  while (true) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool more, items.Next(item));
    if (!more) return Flow::kNext;
    CONCLAVE_RETURN_IF_ERROR(Assign(*statement.targets[0], item));
    CONCLAVE_ASSIGN_OR_RETURN(const Flow flow, RunBody(statement));
    if (flow == Flow::kBreak) return Flow::kBreak;
    if (flow == Flow::kNext) any = true;
  }
}

Result<Interpreter::Flow> Interpreter::RunLoopWithVariable(const Statement& statement, const Value& source,
                                                           std::unique_ptr<ValueIterator> items, bool& any) {
  const int64_t length = statement.test ? -1 : LengthOf(source);
  CONCLAVE_RETURN_IF_ERROR(budget_.CheckDepth(source.Depth() + 1));
  CONCLAVE_RETURN_IF_ERROR(budget_.Bytes(sizeof(LoopObject)));
  auto loop = std::make_shared<LoopObject>(budget_, std::move(items), length, source.Depth());
  // A condition's items hold the activation that will hold the loop.
  if (statement.test) Track(loop);
  Value item;
  while (true) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool more, loop->Advance(item));
    if (!more) return Flow::kNext;
    CONCLAVE_RETURN_IF_ERROR(Assign(*statement.targets[0], item));
    activation_->slots[static_cast<size_t>(statement.loop_slot)] = Value::FromObject(loop);
    CONCLAVE_ASSIGN_OR_RETURN(const Flow flow, RunBody(statement));
    if (flow == Flow::kBreak) return Flow::kBreak;
    if (flow == Flow::kNext) any = true;
  }
}

Result<Interpreter::Flow> Interpreter::ExecuteFor(const Statement& statement) {
  CONCLAVE_ASSIGN_OR_RETURN(const Value source, Evaluate(*statement.expressions[0]));
  CONCLAVE_ASSIGN_OR_RETURN(auto items, Iterate(budget_, source));
  if (statement.test) items = std::make_unique<FilteredItems>(*this, statement, std::move(items));
  // jinja2 counts a round as done at the end of the body, so that one left early still runs "else".
  bool any = false;
  if (statement.loop_slot >= 0) {
    CONCLAVE_RETURN_IF_ERROR(RunLoopWithVariable(statement, source, std::move(items), any).status());
  } else {
    CONCLAVE_RETURN_IF_ERROR(RunLoop(statement, *items, any).status());
  }
  LeaveFrame(statement.frame);
  if (any || statement.otherwise.empty()) return Flow::kNext;
  CONCLAVE_RETURN_IF_ERROR(EnterFrame(statement.otherwise_frame));
  CONCLAVE_ASSIGN_OR_RETURN(const Flow flow, Execute(statement.otherwise));
  LeaveFrame(statement.otherwise_frame);
  return flow;
}

}  // namespace conclave::tokenizer
