#include "services/tokenizer/chat_template/chat_template.h"

#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/parser.h"
#include "services/tokenizer/chat_template/scope.h"
#include "services/tokenizer/chat_template/text.h"

namespace conclave::tokenizer {

struct TemplateProgram {
  TemplateSyntax syntax;
};

namespace {

/// Refuses text that is not UTF-8 and values nested too deep, anywhere in `value`.
Status CheckInput(std::string_view name, const Value& value, const ChatTemplateLimits& limits) {
  if (value.Depth() > limits.value_depth) {
    return ResourceExhausted(std::string(name) + " is nested deeper than the limit value_depth of " +
                             std::to_string(limits.value_depth));
  }
  if (value.IsString() && !IsValidUtf8(value.AsString())) {
    return InvalidArgument(std::string(name) + " holds text that is not valid UTF-8");
  }
  if (value.IsObject()) return InvalidArgument(std::string(name) + " is not plain data");
  if (value.IsSequence()) {
    for (const Value& item : value.Items()) CONCLAVE_RETURN_IF_ERROR(CheckInput(name, item, limits));
  }
  if (!value.IsDict()) return Status::Ok();
  for (const auto& [key, item] : value.AsDict().entries) {
    CONCLAVE_RETURN_IF_ERROR(CheckInput(name, key, limits));
    CONCLAVE_RETURN_IF_ERROR(CheckInput(name, item, limits));
  }
  return Status::Ok();
}

Status CheckToken(std::string_view name, const std::optional<std::string>& token) {
  if (!token || IsValidUtf8(*token)) return Status::Ok();
  return InvalidArgument(std::string(name) + " is not valid UTF-8");
}

}  // namespace

ChatTemplate::ChatTemplate(std::unique_ptr<const TemplateProgram> program, const ChatTemplateLimits& limits)
    : program_(std::move(program)), limits_(limits) {}

ChatTemplate::~ChatTemplate() = default;

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::Compile(std::string_view source,
                                                                  const ChatTemplateLimits& limits) {
  if (source.size() > limits.source_bytes) {
    return ResourceExhausted("the chat template of " + std::to_string(source.size()) +
                             " bytes exceeds the limit source_bytes of " +
                             std::to_string(limits.source_bytes));
  }
  if (!IsValidUtf8(source)) return InvalidArgument("the chat template is not valid UTF-8");
  CONCLAVE_ASSIGN_OR_RETURN(auto tokens, Tokenize(source));
  auto program = std::make_unique<TemplateProgram>();
  CONCLAVE_ASSIGN_OR_RETURN(program->syntax.body, Parser(std::move(tokens), limits).Parse());
  CONCLAVE_RETURN_IF_ERROR(CheckNames(program->syntax));
  CONCLAVE_RETURN_IF_ERROR(ResolveVariables(program->syntax, limits));
  return std::shared_ptr<const ChatTemplate>(new ChatTemplate(std::move(program), limits));
}

Result<std::string> ChatTemplate::Render(const TemplateInput& input) const {
  CONCLAVE_RETURN_IF_ERROR(CheckInput("messages", input.messages, limits_));
  CONCLAVE_RETURN_IF_ERROR(CheckInput("tools", input.tools, limits_));
  CONCLAVE_RETURN_IF_ERROR(CheckToken("bos_token", input.bos_token));
  CONCLAVE_RETURN_IF_ERROR(CheckToken("eos_token", input.eos_token));
  for (const auto& [name, value] : input.variables)
    CONCLAVE_RETURN_IF_ERROR(CheckInput(name, value, limits_));
  return Interpreter(program_->syntax, limits_, input).Run();
}

}  // namespace conclave::tokenizer
