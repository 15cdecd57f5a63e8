#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>

#include "app/answer_reader.h"
#include "app/cli.h"
#include "app/connection.h"
#include "app/json_line.h"
#include "app/sampling_flags.h"
#include "app/token_list.h"
#include "base/utf8.h"

namespace conclave::app {
namespace {

struct GenerateFlags {
  CommonFlags common;
  SamplingFlags sampling;
  std::string prompt;
  std::string prompt_token_ids;
  std::string system;
  bool raw = false;
};

nlohmann::json ToJson(const Answer& answer, bool with_logprobs) {
  nlohmann::json object = {
      {"text", answer.text},
      {"prompt_token_ids", std::vector<int32_t>(answer.started.prompt_token_ids().begin(),
                                                answer.started.prompt_token_ids().end())},
      {"token_ids", answer.token_ids},
      {"finish_reason", FinishReasonName(answer.finished.finish_reason())},
      {"prompt_tokens_per_s", answer.finished.prompt_tokens_per_s()},
      {"tokens_per_s", answer.finished.tokens_per_s()},
      {"time_to_first_token_ms", answer.finished.time_to_first_token_ms()},
      {"seed", answer.finished.seed()},
      {"model", answer.started.model().name()},
      {"model_hash", answer.started.model().model_hash()},
  };
  if (with_logprobs) object["logprobs"] = LogprobsJson(answer);
  return object;
}

Result<Answer> Ask(const GenerateFlags& flags, Connection& connection) {
  const auto router = v1::RouterService::NewStub(connection.channel());
  grpc::ClientContext context;
  OnText on_text;
  if (!flags.common.json) on_text = [](const std::string& text) { std::cout << text << std::flush; };
  if (!flags.raw && flags.prompt_token_ids.empty()) {
    v1::ChatRequest request;
    if (!flags.system.empty()) {
      v1::ChatMessage& system = *request.add_messages();
      system.set_role(v1::ROLE_SYSTEM);
      system.set_content(flags.system);
    }
    v1::ChatMessage& message = *request.add_messages();
    message.set_role(v1::ROLE_USER);
    message.set_content(flags.prompt);
    *request.mutable_sampling() = flags.sampling.ToWire();
    return AskChat(*router, context, request, on_text);
  }
  v1::CompleteRequest request;
  if (!flags.prompt_token_ids.empty()) {
    CONCLAVE_ASSIGN_OR_RETURN(const auto tokens, ParseTokenList(flags.prompt_token_ids));
    request.mutable_prompt_token_ids()->Add(tokens.begin(), tokens.end());
  }
  request.set_prompt(flags.prompt);
  *request.mutable_sampling() = flags.sampling.ToWire();
  return AskComplete(*router, context, request, on_text);
}

Status Generate(const GenerateFlags& flags) {
  if (!IsValidUtf8(flags.prompt) || !IsValidUtf8(flags.system)) {
    return InvalidArgument("the prompt is not valid UTF-8; convert it first");
  }
  CONCLAVE_ASSIGN_OR_RETURN(const auto connection,
                            Connection::Open(flags.common, Connection::Services::kGeneration));
  CONCLAVE_ASSIGN_OR_RETURN(const Answer answer, Ask(flags, *connection));
  if (flags.common.json) {
    PrintLine(JsonLine(ToJson(answer, flags.sampling.logprobs.has_value())));
  } else {
    std::cout << std::endl;
  }
  return Status::Ok();
}

}  // namespace

void AddGenerateCommand(CLI::App& program, CommandRunner& chosen) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command = program.add_subcommand("generate", "Answer one prompt and stop");
  flags->common.AddModel(*command);
  flags->common.AddConnect(*command);
  flags->common.AddJson(*command);
  flags->sampling.Add(*command);
  auto* prompt = command->add_option("--prompt,-p", flags->prompt, "What to answer");
  auto* tokens = command->add_option("--prompt-token-ids", flags->prompt_token_ids,
                                     "Tokens instead of a prompt, \"1,2,3\"");
  prompt->excludes(tokens);
  auto* system = command->add_option("--system", flags->system, "A system message in front of the prompt");
  auto* raw =
      command->add_flag("--raw", flags->raw, "Continue the prompt as it is, without the chat template");
  system->excludes(tokens)->excludes(raw);
  command->footer(
      "Example: conclave generate --prompt \"Tell me a joke\" --max-tokens 64 --temperature 0 --json");
  command->callback([flags, command, &chosen] {
    if (command->count("--prompt") + command->count("--prompt-token-ids") == 0) {
      throw CLI::RequiredError("--prompt");
    }
    chosen = [flags] {
      const Status status = Generate(*flags);
      return status.ok() ? kExitOk : ReportFailure(status);
    };
  });
}

}  // namespace conclave::app
