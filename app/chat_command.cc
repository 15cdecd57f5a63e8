#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "app/chat_session.h"
#include "app/cli.h"
#include "app/connection.h"
#include "app/interrupts.h"
#include "app/json_line.h"
#include "app/line_editor.h"
#include "app/printable.h"
#include "app/sampling_flags.h"

namespace conclave::app {
namespace {

/// Small models drift into the language of a name in the question ("... of France?") unless they are told not
/// to.
constexpr char kDefaultSystem[] = "Answer in the language of the question.";

struct ChatFlags {
  CommonFlags common;
  SamplingFlags sampling;
  std::vector<std::string> words;
  std::string system = kDefaultSystem;
  std::string collection;
  uint32_t top_n = 0;
};

constexpr char kHelp[] =
    "  /rate good|bad   rate the last answer\n"
    "  /reset           forget the conversation\n"
    "  /help            this list\n"
    "  /quit, Ctrl-D    leave\n"
    "  Ctrl-C           stop an answer\n";

void PrintSources(const Answer& answer) {
  if (answer.started.passages().empty()) return;
  std::cout << "\nSources:\n";
  int number = 0;
  for (const v1::Passage& passage : answer.started.passages()) {
    std::cout << "  [" << ++number << "] " << Printable(passage.source()) << "\n";
  }
}

void PrintText(const std::string& text) { std::cout << Printable(text) << std::flush; }

/// What a conversation is made of.
struct Conversation {
  const ChatFlags& flags;
  const Connection& connection;
  ChatSession& session;
  Interrupts& interrupts;
};

/// The answer, its text printed as it comes. What was printed of one that fails has a line of its own.
Result<Answer> Ask(const Conversation& with, const std::string& prompt) {
  const bool json = with.flags.common.json;
  bool printed = false;
  const OnText print = [&printed](const std::string& text) {
    PrintText(text);
    printed = true;
  };
  auto answer = with.session.Say(prompt, json ? OnText() : print, with.interrupts);
  if (answer.ok()) return answer;
  if (printed || (!json && answer.status().code() == StatusCode::kCancelled)) std::cout << std::endl;
  return with.connection.Explain(answer.status());
}

Status AnswerOnce(const Conversation& with, const std::string& prompt) {
  const auto& [flags, connection, session, interrupts] = with;
  const bool json = flags.common.json;
  CONCLAVE_ASSIGN_OR_RETURN(const Answer answer, Ask(with, prompt));
  if (session.forgotten_turns() > 0) {
    std::cerr << "\n(the conversation outgrew the model's context; its oldest turns were forgotten: "
              << session.forgotten_turns() << ")\n";
  }
  if (!json) {
    std::cout << "\n";
    PrintSources(answer);
    std::cout << std::flush;
    return Status::Ok();
  }
  nlohmann::json sources = nlohmann::json::array();
  for (const v1::Passage& passage : answer.started.passages()) sources.push_back(passage.source());
  nlohmann::json object = {{"text", answer.text},
                           {"response_id", answer.started.response_id()},
                           {"vote_token", answer.finished.vote_token()},
                           {"finish_reason", FinishReasonName(answer.finished.finish_reason())},
                           {"seed", answer.finished.seed()},
                           {"sources", sources},
                           {"time_to_first_token_ms", answer.finished.time_to_first_token_ms()},
                           {"tokens_per_s", answer.finished.tokens_per_s()}};
  if (flags.sampling.logprobs) object["logprobs"] = LogprobsJson(answer);
  PrintLine(JsonLine(object));
  return Status::Ok();
}

void Rate(ChatSession& session, const std::string& verdict) {
  if (verdict != "good" && verdict != "bad") {
    std::cout << "Say /rate good or /rate bad.\n";
    return;
  }
  const auto rating = session.RateLast(verdict == "good");
  if (rating.ok()) {
    std::cout << "Rated " << verdict << ". Thank you.\n";
  } else {
    ReportFailure(rating.status());
  }
}

/// Carries out a line that begins with '/'. False: leave.
bool RunSlashCommand(ChatSession& session, const std::string& line) {
  if (line == "/quit" || line == "/exit") return false;
  if (line.rfind("/rate", 0) == 0) {
    Rate(session, line.size() > 6 ? line.substr(6) : "");
  } else if (line == "/reset") {
    session.Reset();
    std::cout << "The conversation starts anew.\n";
  } else if (line == "/help") {
    std::cout << kHelp;
  } else {
    std::cout << "There is no command " << line << ".\n" << kHelp;
  }
  return true;
}

/// From a terminal, a conversation ends well whatever was said; a script learns of the last answer that
/// failed.
Status Converse(const Conversation& with, const std::string& history) {
  const bool terminal = isatty(STDIN_FILENO) != 0;
  if (terminal) std::cout << "Talk to the model. /help lists the commands.\n";
  LineEditor editor("> ", history);
  Status failed;  // stays Ok on a terminal
  while (true) {
    const LineEditor::Input input = editor.Read();
    if (input.event == LineEditor::Event::kEnd) return failed;
    if (input.event == LineEditor::Event::kInterrupted || input.line.empty()) continue;
    if (input.line.front() == '/') {
      if (!RunSlashCommand(with.session, input.line)) return failed;
      continue;
    }
    const Status status = AnswerOnce(with, input.line);
    if (status.code() == StatusCode::kCancelled) {
      std::cout << "(stopped)\n";
    } else if (!status.ok()) {
      std::cout << std::flush;
      if (terminal) {
        ReportFailure(status);
        continue;
      }
      // The last failure is reported by the caller.
      if (!failed.ok()) ReportFailure(failed);
      failed = status;
    }
  }
}

Status Chat(const ChatFlags& flags) {
  Interrupts interrupts;
  CONCLAVE_ASSIGN_OR_RETURN(const platform::Config config, flags.common.LoadConfig());
  CONCLAVE_ASSIGN_OR_RETURN(const auto connection,
                            Connection::Open(flags.common, Connection::Services::kAll));
  interrupts.Listen();
  ChatSession session(connection->channel(), {.sampling = flags.sampling.ToWire(),
                                              .system = flags.system,
                                              .collection = flags.collection,
                                              .top_n = flags.top_n});
  const Conversation with{flags, *connection, session, interrupts};
  if (flags.words.empty()) return Converse(with, (config.home / "chat_history").string());
  std::string prompt;
  for (const std::string& word : flags.words) prompt += (prompt.empty() ? "" : " ") + word;
  return AnswerOnce(with, prompt);
}

}  // namespace

void AddChatCommand(CLI::App& program, CommandRunner& chosen) {
  auto flags = std::make_shared<ChatFlags>();
  CLI::App* command = program.add_subcommand("chat", "Talk to the model: one question, or a conversation");
  command->add_option("prompt", flags->words, "What to ask; without it, a conversation begins");
  flags->common.AddModel(*command);
  flags->common.AddConnect(*command);
  flags->common.AddJson(*command);
  flags->sampling.Add(*command);
  command->add_option("--system", flags->system, "A system message; \"\" leaves it to the model's template")
      ->capture_default_str();
  auto* collection = command->add_option("--collection", flags->collection,
                                         "Answer from the passages found in this collection");
  command->add_option("--top-n", flags->top_n, "How many passages (default 3)")
      ->check(WholeNumber(0, 20))
      ->needs(collection);
  command->footer(
      "Examples:\n  conclave chat \"What is the capital of France?\"\n  conclave chat --collection notes");
  command->callback([flags, &chosen] {
    chosen = [flags] {
      const Status status = Chat(*flags);
      return status.ok() ? kExitOk : ReportFailure(status);
    };
  });
}

}  // namespace conclave::app
