#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "app/answer_reader.h"
#include "app/cli.h"
#include "app/connection.h"
#include "app/json_line.h"
#include "app/sampling_flags.h"
#include "app/token_list.h"
#include "base/utf8.h"
#include "services/router/limits.h"

namespace conclave::app {
namespace {

struct GenerateFlags {
  CommonFlags common;
  SamplingFlags sampling;
  std::string prompt;
  std::string prompt_token_ids;
  std::string system;
  bool raw = false;
  uint64_t answers = 1;
  std::optional<uint64_t> beams;
  std::optional<double> length_penalty;
  std::string early_stopping = "heuristic";

  v1::SamplingParams SamplingToWire() const;
};

const std::map<std::string, v1::EarlyStopping> kEarlyStoppings = {{"heuristic", v1::EARLY_STOPPING_HEURISTIC},
                                                                  {"full", v1::EARLY_STOPPING_FULL},
                                                                  {"never", v1::EARLY_STOPPING_NEVER}};

v1::SamplingParams GenerateFlags::SamplingToWire() const {
  v1::SamplingParams wire = sampling.ToWire();
  if (!beams) return wire;
  v1::BeamSearch& search = *wire.mutable_beam_search();
  search.set_beams(static_cast<uint32_t>(*beams));
  if (length_penalty) search.set_length_penalty(*length_penalty);
  search.set_early_stopping(kEarlyStoppings.at(early_stopping));
  return wire;
}

nlohmann::json ToJson(const Answer& answer, bool with_logprobs) {
  nlohmann::json object = {
      {"text", answer.text},
      {"token_ids", answer.token_ids},
      {"finish_reason", FinishReasonName(answer.finished.finish_reason())},
      {"prompt_tokens_per_s", answer.finished.prompt_tokens_per_s()},
      {"tokens_per_s", answer.finished.tokens_per_s()},
      {"time_to_first_token_ms", answer.finished.time_to_first_token_ms()},
      {"seed", answer.finished.seed()},
  };
  object["response_id"] = answer.started.response_id();
  object["vote_token"] = answer.finished.vote_token();
  object["cached_prompt_tokens"] = answer.finished.usage().cached_prompt_tokens();
  if (answer.finished.has_beam_score()) object["score"] = answer.finished.beam_score();
  if (with_logprobs) object["logprobs"] = LogprobsJson(answer);
  return object;
}

/// What all answers have in common.
void AddRequest(const v1::AnswerStarted& started, nlohmann::json& object) {
  object["prompt_token_ids"] =
      std::vector<int32_t>(started.prompt_token_ids().begin(), started.prompt_token_ids().end());
  object["model"] = started.model().name();
  object["model_hash"] = started.model().model_hash();
}

nlohmann::json ToJson(const std::vector<Answer>& answers, bool with_logprobs) {
  nlohmann::json list = nlohmann::json::array();
  for (const Answer& answer : answers) {
    if (!answer.error.ok()) {
      list.push_back({{"error", answer.error.ToString()}});
      continue;
    }
    list.push_back(ToJson(answer, with_logprobs));
  }
  return {{"answers", std::move(list)}};
}

void Print(const std::vector<Answer>& answers, const GenerateFlags& flags) {
  const bool with_logprobs = flags.sampling.logprobs.has_value();
  if (flags.common.json) {
    nlohmann::json object =
        answers.size() == 1 ? ToJson(answers.front(), with_logprobs) : ToJson(answers, with_logprobs);
    AddRequest(answers.front().started, object);
    PrintLine(JsonLine(object));
  } else if (answers.size() == 1) {
    std::cout << std::endl;  // Its text was printed as it came.
  } else {
    for (size_t i = 0; i < answers.size(); ++i) {
      if (!answers[i].error.ok()) continue;
      const v1::AnswerFinished& finished = answers[i].finished;
      std::cout << "--- answer " << i + 1;
      if (finished.has_beam_score()) {
        std::cout << ", score " << finished.beam_score();
      } else {
        std::cout << ", seed " << finished.seed();
      }
      std::cout << "\n" << answers[i].text << std::endl;
    }
  }
}

/// `printed`: whether some of the answer's text was.
Result<std::vector<Answer>> Ask(const GenerateFlags& flags, Connection& connection, bool& printed) {
  const auto router = v1::RouterService::NewStub(connection.channel());
  grpc::ClientContext context;
  OnText on_text;
  if (!flags.common.json && flags.answers == 1)
    on_text = [&printed](const std::string& text) {
      std::cout << text << std::flush;
      printed = true;
    };
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
    *request.mutable_sampling() = flags.SamplingToWire();
    request.set_answers(static_cast<uint32_t>(flags.answers));
    return AskChat(*router, context, request, on_text);
  }
  v1::CompleteRequest request;
  if (!flags.prompt_token_ids.empty()) {
    CONCLAVE_ASSIGN_OR_RETURN(const auto tokens, ParseTokenList(flags.prompt_token_ids));
    request.mutable_prompt_token_ids()->Add(tokens.begin(), tokens.end());
  }
  request.set_prompt(flags.prompt);
  *request.mutable_sampling() = flags.SamplingToWire();
  request.set_answers(static_cast<uint32_t>(flags.answers));
  return AskComplete(*router, context, request, on_text);
}

Status Generate(const GenerateFlags& flags) {
  if (!IsValidUtf8(flags.prompt) || !IsValidUtf8(flags.system)) {
    return InvalidArgument("the prompt is not valid UTF-8; convert it first");
  }
  CONCLAVE_ASSIGN_OR_RETURN(const auto connection,
                            Connection::Open(flags.common, Connection::Services::kGeneration));
  bool printed = false;
  const Result<std::vector<Answer>> asked = Ask(flags, *connection, printed);
  if (!asked.ok()) {
    if (printed) std::cout << std::endl;
    return connection->Explain(asked.status());
  }
  const std::vector<Answer>& answers = *asked;
  Print(answers, flags);
  const auto failed = std::ranges::find_if(answers, [](const Answer& answer) { return !answer.error.ok(); });
  if (failed == answers.end()) return Status::Ok();
  return failed->error.Annotate("answer " + std::to_string(failed - answers.begin() + 1));
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
  command
      ->add_option("--answers", flags->answers,
                   "How many answers, at most 16 (default 1): each takes the seed after the one before")
      ->check(WholeNumber(1, router::kMostAnswers));
  auto* beams = command->add_option(
      "--beams", flags->beams, "Search with this many beams, at most 16, and give the best answers found");
  beams->check(WholeNumber(1, router::kMostBeams));
  command
      ->add_option("--length-penalty", flags->length_penalty,
                   "With --beams: a score is divided by the length to this power (default 1)")
      ->needs(beams);
  command
      ->add_option("--early-stopping", flags->early_stopping,
                   "With --beams: heuristic (default), full (enough answers are enough) or never")
      ->check(CLI::IsMember(kEarlyStoppings))
      ->needs(beams);
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
