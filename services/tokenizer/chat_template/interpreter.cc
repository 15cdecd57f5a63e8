#include "services/tokenizer/chat_template/interpreter.h"

#include "services/tokenizer/chat_template/functions.h"
#include "services/tokenizer/chat_template/to_text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {

Interpreter::Interpreter(const TemplateSyntax& syntax, const ChatTemplateLimits& limits,
                         const TemplateInput& input)
    : syntax_(syntax), now_(input.now), budget_(limits), context_(GlobalFunctions()) {
  context_["messages"] = input.messages;
  context_["tools"] = input.tools;
  context_["documents"] = Value();
  context_["add_generation_prompt"] = Value::Bool(input.add_generation_prompt);
  if (input.bos_token) context_["bos_token"] = Value::String(*input.bos_token);
  if (input.eos_token) context_["eos_token"] = Value::String(*input.eos_token);
  for (const auto& [name, value] : input.variables) context_[name] = value;
}

Interpreter::~Interpreter() {
  for (const auto& activation : tracked_activations_) activation->slots.clear();
  for (const auto& object : tracked_objects_) object->Clear();
}

Result<std::string> Interpreter::Run() {
  out_ = &output_;
  activation_ = std::make_shared<Activation>();
  activation_->slots.assign(static_cast<size_t>(syntax_.slot_count), Value::Undefined(nullptr));
  Status status = EnterFrame(syntax_.frame);
  if (status.ok()) status = Execute(syntax_.body).status();
  if (status.ok()) return std::move(output_);
  if (raised_) return status;
  return status.Annotate("chat template, line " + std::to_string(line_));
}

Status Interpreter::Raise(std::string message) {
  raised_ = true;
  return InvalidArgument(std::move(message));
}

Status Interpreter::Emit(std::string_view text) {
  const size_t limit = budget_.limits().output_bytes;
  if (out_->size() + text.size() > limit)
    return budget_.Exhausted("output_bytes", static_cast<int64_t>(limit));
  CONCLAVE_RETURN_IF_ERROR(out_ == &output_ ? budget_.Text(text.size()) : budget_.Bytes(text.size()));
  out_->append(text);
  return Status::Ok();
}

Status Interpreter::Print(const Value& value) {
  if (value.IsString()) return Emit(value.AsString());
  CONCLAVE_ASSIGN_OR_RETURN(const std::string text, ToText(budget_, value));
  return Emit(text);
}

Result<Interpreter::Flow> Interpreter::Execute(const Body& body) {
  if (++depth_ > budget_.limits().evaluation_depth) {
    return budget_.Exhausted("evaluation_depth", budget_.limits().evaluation_depth);
  }
  for (const auto& statement : body) {
    CONCLAVE_RETURN_IF_ERROR(budget_.Step());
    line_ = statement->line;
    CONCLAVE_ASSIGN_OR_RETURN(const Flow flow, ExecuteStatement(*statement));
    if (flow == Flow::kNext) continue;
    --depth_;
    return flow;
  }
  --depth_;
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::ExecuteStatement(const Statement& statement) {
  Status status;
  switch (statement.kind) {
    case StatementKind::kText: status = Emit(statement.text); break;
    case StatementKind::kPrint:
      for (const auto& expression : statement.expressions) {
        CONCLAVE_ASSIGN_OR_RETURN(const Value value, Evaluate(*expression));
        CONCLAVE_RETURN_IF_ERROR(Print(value));
      }
      break;
    case StatementKind::kSet: status = ExecuteSet(statement); break;
    case StatementKind::kIf: return ExecuteIf(statement);
    case StatementKind::kFor: return ExecuteFor(statement);
    case StatementKind::kWith: return ExecuteWith(statement);
    case StatementKind::kSetBlock:
    case StatementKind::kFilterBlock: return ExecuteCapture(statement);
    case StatementKind::kMacro: {
      CONCLAVE_ASSIGN_OR_RETURN(Slot(statement.variable), MakeMacro(statement));
      break;
    }
    case StatementKind::kCallBlock:
    case StatementKind::kGeneration: status = ExecuteCallBlock(statement); break;
    case StatementKind::kBreak: return Flow::kBreak;
    case StatementKind::kContinue: return Flow::kContinue;
  }
  CONCLAVE_RETURN_IF_ERROR(std::move(status));
  return Flow::kNext;
}

Status Interpreter::ExecuteSet(const Statement& statement) {
  CONCLAVE_RETURN_IF_ERROR(CheckNamespaces(*statement.targets[0]));
  CONCLAVE_ASSIGN_OR_RETURN(Value value, Evaluate(*statement.expressions[0]));
  return Assign(*statement.targets[0], std::move(value));
}

Result<Interpreter::Flow> Interpreter::ExecuteIf(const Statement& statement) {
  for (const IfBranch& branch : statement.branches) {
    if (branch.test) {
      CONCLAVE_ASSIGN_OR_RETURN(const Value test, Evaluate(*branch.test));
      if (!IsTrue(test)) continue;
    }
    return Execute(branch.body);
  }
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::ExecuteWith(const Statement& statement) {
  CONCLAVE_RETURN_IF_ERROR(EnterFrame(statement.frame));
  for (size_t i = 0; i < statement.targets.size(); ++i) {
    CONCLAVE_ASSIGN_OR_RETURN(Value value, Evaluate(*statement.expressions[i]));
    CONCLAVE_RETURN_IF_ERROR(Assign(*statement.targets[i], std::move(value)));
  }
  CONCLAVE_ASSIGN_OR_RETURN(const Flow flow, Execute(statement.body));
  LeaveFrame(statement.frame);
  return flow;
}

Result<Interpreter::Flow> Interpreter::ExecuteCapture(const Statement& statement) {
  CONCLAVE_RETURN_IF_ERROR(EnterFrame(statement.frame));
  std::string buffer;
  std::string* outer = std::exchange(out_, &buffer);
  auto flow = Execute(statement.body);
  out_ = outer;
  if (!flow.ok() || *flow != Flow::kNext) return flow;
  CONCLAVE_ASSIGN_OR_RETURN(Value text, budget_.String(std::move(buffer)));
  if (!statement.expressions.empty()) {
    const Value outer_text = std::exchange(block_text_, std::move(text));
    CONCLAVE_ASSIGN_OR_RETURN(text, Evaluate(*statement.expressions[0]));
    block_text_ = outer_text;
  }
  if (statement.kind == StatementKind::kSetBlock) {
    CONCLAVE_RETURN_IF_ERROR(CheckNamespaces(*statement.targets[0]));
    CONCLAVE_RETURN_IF_ERROR(Assign(*statement.targets[0], std::move(text)));
  } else {
    CONCLAVE_RETURN_IF_ERROR(Print(text));
  }
  LeaveFrame(statement.frame);
  return Flow::kNext;
}

}  // namespace conclave::tokenizer
