// Renders chat templates for the comparison with jinja2 (tests/peers/chat_template_test.py): one JSON object
// a line on standard input, {"template", "messages", "tools", "add_generation_prompt", "bos_token",
// "eos_token", "variables", "now": [year, month, day, hour, minute, second, weekday, yearday]}, and one a
// line on standard output, {"output"} or {"error", "code"}.
#include <iostream>
#include <string>

#include "services/tokenizer/chat_template/budget.h"
#include "services/tokenizer/chat_template/chat_template.h"
#include "services/tokenizer/chat_template/json.h"

namespace {

using conclave::Result;
using conclave::tokenizer::ChatTemplate;
using conclave::tokenizer::TemplateInput;
using conclave::tokenizer::Value;

std::tm ReadTime(const Value& parts) {
  std::tm now = {};
  int* const fields[] = {&now.tm_year, &now.tm_mon, &now.tm_mday, &now.tm_hour,
                         &now.tm_min,  &now.tm_sec, &now.tm_wday, &now.tm_yday};
  for (size_t i = 0; i < 8; ++i) *fields[i] = static_cast<int>(parts.Items()[i].AsInt());
  now.tm_year -= 1900;
  now.tm_mon -= 1;
  return now;
}

std::optional<std::string> OptionalText(const Value* value) {
  if (value == nullptr || !value->IsString()) return std::nullopt;
  return std::string(value->AsString());
}

Result<std::string> Render(const Value& request) {
  const auto& fields = request.AsDict();
  TemplateInput input;
  if (const Value* messages = fields.Find("messages")) input.messages = *messages;
  if (const Value* tools = fields.Find("tools")) input.tools = *tools;
  const Value* prompt = fields.Find("add_generation_prompt");
  input.add_generation_prompt = prompt != nullptr && prompt->IsBool() && prompt->AsBool();
  input.bos_token = OptionalText(fields.Find("bos_token"));
  input.eos_token = OptionalText(fields.Find("eos_token"));
  if (const Value* now = fields.Find("now")) input.now = ReadTime(*now);
  if (const Value* variables = fields.Find("variables")) {
    for (const auto& [name, value] : variables->AsDict().entries) {
      input.variables.emplace_back(std::string(name.AsString()), value);
    }
  }
  CONCLAVE_ASSIGN_OR_RETURN(const auto compiled, ChatTemplate::Compile(fields.Find("template")->AsString()));
  return compiled->Render(input);
}

Value Answer(const Result<std::string>& result) {
  if (result.ok()) return Value::Dict({{Value::String("output"), Value::String(*result)}});
  const std::string code(conclave::StatusCodeName(result.status().code()));
  return Value::Dict({{Value::String("error"), Value::String(result.status().message())},
                      {Value::String("code"), Value::String(code)}});
}

}  // namespace

int main() {
  std::string line;
  conclave::tokenizer::ChatTemplateLimits limits;
  limits.value_bytes = size_t{4} << 30;
  limits.steps = int64_t{1} << 40;
  while (std::getline(std::cin, line)) {
    const auto request = conclave::tokenizer::ReadJson(line);
    const auto answer = Answer(request.ok() ? Render(*request) : request.status());
    conclave::tokenizer::Budget budget(limits);
    const auto text = conclave::tokenizer::WriteJson(budget, answer, {.ensure_ascii = true});
    std::cout << (text.ok() ? *text : "{\"error\": \"no answer\"}") << std::endl;
  }
}
