#include "services/router/request_plan.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "services/router/limits.h"

namespace conclave::router {
namespace {

constexpr size_t kMostQueryBytes = 16 << 10;

/// What the decoder cannot tell from defaults, and what must be known before the request waits.
Status CheckBeams(const v1::SamplingParams& sampling, uint32_t answers) {
  if (!sampling.has_beam_search()) return Status::Ok();
  const uint32_t beams = sampling.beam_search().beams();
  if (beams == 0 || beams > kMostBeams) {
    return InvalidArgument("beam_search.beams is " + std::to_string(beams) + "; it must be from 1 to " +
                           std::to_string(kMostBeams));
  }
  if (sampling.has_temperature() || sampling.has_top_k() || sampling.has_top_p() || sampling.has_min_p()) {
    return InvalidArgument(
        "a beam search draws nothing; leave out temperature, top_k, top_p and min_p, or beam_search");
  }
  if (sampling.stop_size() > 0) {
    return InvalidArgument("a beam search knows whole answers only; leave out stop, or beam_search");
  }
  if (answers > beams) {
    return InvalidArgument("answers is " + std::to_string(answers) + "; a search of " +
                           std::to_string(beams) + " beams gives no more than that");
  }
  return Status::Ok();
}

Status CheckSampling(const v1::SamplingParams& sampling) {
  if (sampling.stop_size() > static_cast<int>(kMostStopTexts)) {
    return InvalidArgument("stop has " + std::to_string(sampling.stop_size()) + " texts; at most " +
                           std::to_string(kMostStopTexts) + " are allowed");
  }
  for (const std::string& stop : sampling.stop()) {
    if (stop.empty() || stop.size() > kMostStopBytes) {
      return InvalidArgument("a stop text has " + std::to_string(stop.size()) + " bytes; 1 to " +
                             std::to_string(kMostStopBytes) + " are allowed");
    }
  }
  if (sampling.has_max_tokens() && sampling.max_tokens() == 0) {
    return InvalidArgument("max_tokens is 0; ask for at least one token");
  }
  return Status::Ok();
}

Status CheckModelName(const std::string& model) {
  if (model.size() <= kMostModelNameBytes) return Status::Ok();
  return InvalidArgument("model has " + std::to_string(model.size()) + " bytes; at most " +
                         std::to_string(kMostModelNameBytes) + " are allowed");
}

Result<uint32_t> AnswersOf(uint32_t answers) {
  if (answers > kMostAnswers) {
    return InvalidArgument("answers is " + std::to_string(answers) + "; at most " +
                           std::to_string(kMostAnswers) + " are allowed");
  }
  return std::max(answers, 1u);
}

Status CheckMessages(const v1::ChatRequest& request) {
  if (request.messages().empty()) return InvalidArgument("messages is empty; send at least one");
  if (request.messages_size() > static_cast<int>(kMostMessages)) {
    return InvalidArgument("messages has " + std::to_string(request.messages_size()) + " entries; at most " +
                           std::to_string(kMostMessages) + " are allowed");
  }
  size_t bytes = 0;
  for (int i = 0; i < request.messages_size(); ++i) {
    const v1::ChatMessage& message = request.messages(i);
    const std::string where = "messages[" + std::to_string(i) + "]";
    if (message.role() == v1::ROLE_UNSPECIFIED || !v1::Role_IsValid(message.role())) {
      return InvalidArgument(where + ".role is not set to a known role");
    }
    if (message.content().size() > kMostMessageBytes) {
      return InvalidArgument(where + ".content has " + std::to_string(message.content().size()) +
                             " bytes; at most " + std::to_string(kMostMessageBytes) + " are allowed");
    }
    bytes += message.content().size();
  }
  if (bytes > kMostChatBytes) {
    return InvalidArgument("the messages have " + std::to_string(bytes) + " bytes in all; at most " +
                           std::to_string(kMostChatBytes) + " are allowed");
  }
  const v1::ChatMessage& newest = request.messages(request.messages_size() - 1);
  if (newest.role() == v1::ROLE_USER && newest.content().empty()) {
    return InvalidArgument("the newest message is empty; say something");
  }
  return Status::Ok();
}

}  // namespace

Result<RequestPlan> PlanOf(const v1::ChatRequest& request) {
  CONCLAVE_RETURN_IF_ERROR(CheckModelName(request.model()));
  CONCLAVE_RETURN_IF_ERROR(CheckMessages(request));
  CONCLAVE_RETURN_IF_ERROR(CheckSampling(request.sampling()));
  if (request.top_n() > kMostTopN) {
    return InvalidArgument("top_n is " + std::to_string(request.top_n()) + "; at most " +
                           std::to_string(kMostTopN) + " passages are allowed");
  }
  RequestPlan plan{.model = request.model(), .is_chat = true};
  plan.messages.assign(request.messages().begin(), request.messages().end());
  plan.sampling = request.sampling();
  CONCLAVE_ASSIGN_OR_RETURN(plan.answers, AnswersOf(request.answers()));
  CONCLAVE_RETURN_IF_ERROR(CheckBeams(plan.sampling, plan.answers));
  if (plan.answers > 1 && !request.session_id().empty()) {
    return InvalidArgument("answers is " + std::to_string(plan.answers) +
                           " and session_id is set; a session goes on from one answer");
  }
  plan.session_id = request.session_id();
  plan.collection = request.collection();
  plan.top_n = request.top_n() == 0 ? kDefaultTopN : request.top_n();
  return plan;
}

Result<RequestPlan> PlanOf(const v1::CompleteRequest& request) {
  CONCLAVE_RETURN_IF_ERROR(CheckModelName(request.model()));
  CONCLAVE_RETURN_IF_ERROR(CheckSampling(request.sampling()));
  const bool has_tokens = request.prompt_token_ids_size() > 0;
  if (has_tokens != request.prompt().empty()) {
    return InvalidArgument(has_tokens ? "prompt and prompt_token_ids are both set; send one of them"
                                      : "the prompt is empty; send prompt or prompt_token_ids");
  }
  if (request.prompt().size() > kMostPromptBytes) {
    return InvalidArgument("prompt has " + std::to_string(request.prompt().size()) + " bytes; at most " +
                           std::to_string(kMostPromptBytes) + " are allowed");
  }
  if (request.prompt_token_ids_size() > static_cast<int>(kMostPromptTokens)) {
    return InvalidArgument("prompt_token_ids has " + std::to_string(request.prompt_token_ids_size()) +
                           " entries; at most " + std::to_string(kMostPromptTokens) + " are allowed");
  }
  RequestPlan plan{
      .model = request.model(), .prompt = request.prompt(), .parse_special = request.parse_special()};
  plan.prompt_token_ids.assign(request.prompt_token_ids().begin(), request.prompt_token_ids().end());
  plan.sampling = request.sampling();
  CONCLAVE_ASSIGN_OR_RETURN(plan.answers, AnswersOf(request.answers()));
  CONCLAVE_RETURN_IF_ERROR(CheckBeams(plan.sampling, plan.answers));
  return plan;
}

std::string SearchQuery(const std::vector<v1::ChatMessage>& messages) {
  for (auto it = messages.rbegin(); it != messages.rend(); ++it) {
    if (it->role() != v1::ROLE_USER) continue;
    std::string query = it->content().substr(0, kMostQueryBytes);
    query.resize(query.size() - IncompleteUtf8Suffix(query));  // Never half a character at the cut.
    return query;
  }
  return {};
}

std::vector<v1::ChatMessage> WithPassages(std::vector<v1::ChatMessage> messages,
                                          const v1::SearchResponse& found) {
  if (found.results().empty()) return messages;
  std::string text = "Answer from these passages, and say when they do not hold the answer.\n";
  for (int i = 0; i < found.results_size(); ++i) {
    const v1::SearchResult& result = found.results(i);
    text += "\n[" + std::to_string(i + 1) + "] " + result.source() + "\n" + result.text() + "\n";
  }
  const bool has_system = !messages.empty() && messages.front().role() == v1::ROLE_SYSTEM;
  if (has_system) {
    messages.front().set_content(messages.front().content() + "\n\n" + text);
  } else {
    v1::ChatMessage system;
    system.set_role(v1::ROLE_SYSTEM);
    system.set_content(std::move(text));
    messages.insert(messages.begin(), std::move(system));
  }
  return messages;
}

}  // namespace conclave::router
