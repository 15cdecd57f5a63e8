#include "app/answer_reader.h"

#include <algorithm>
#include <memory>

#include "platform/rpc/status_mapping.h"

namespace conclave::app {
namespace {

void Append(const v1::AnswerDelta& delta, Answer& answer) {
  answer.text += delta.text();
  answer.token_ids.insert(answer.token_ids.end(), delta.token_ids().begin(), delta.token_ids().end());
  answer.logprobs.insert(answer.logprobs.end(), delta.logprobs().begin(), delta.logprobs().end());
}

/// Which answer an event belongs to.
template <typename Response>
size_t AnswerOf(const Response& response) {
  if (response.has_started()) return response.started().answer();
  if (response.has_delta()) return response.delta().answer();
  if (response.has_finished()) return response.finished().answer();
  return response.failed().answer();
}

template <typename Response>
Result<std::vector<Answer>> ReadAll(std::unique_ptr<grpc::ClientReaderInterface<Response>> reader,
                                    uint32_t count, grpc::ClientContext& context, const OnText& on_text,
                                    const OnStarted& on_started) {
  std::vector<Answer> answers(std::max(count, 1u));
  Response response;
  while (reader->Read(&response)) {
    const size_t which = AnswerOf(response);
    if (which >= answers.size()) continue;  // Its server is newer; nobody asked for it here.
    Answer& answer = answers[which];
    if (response.has_started()) {
      answer.started = response.started();
      if (on_started) on_started(answer.started);
    } else if (response.has_delta()) {
      Append(response.delta(), answer);
      if (on_text && !response.delta().text().empty()) on_text(response.delta().text());
    } else if (response.has_finished()) {
      answer.finished = response.finished();
    } else if (response.has_failed()) {
      answer.error =
          Status(static_cast<StatusCode>(response.failed().error_code()), response.failed().error_message());
    }
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return platform::FromGrpcStatus(status, &context);
  return answers;
}

nlohmann::json ToJson(const v1::TokenLogprob& token) {
  return {{"token_id", token.token_id()}, {"logprob", token.logprob()}};
}

}  // namespace

Result<std::vector<Answer>> AskChat(v1::RouterService::StubInterface& router, grpc::ClientContext& context,
                                    const v1::ChatRequest& request, const OnText& on_text,
                                    const OnStarted& on_started) {
  return ReadAll<v1::ChatResponse>(router.Chat(&context, request), request.answers(), context, on_text,
                                   on_started);
}

Result<std::vector<Answer>> AskComplete(v1::RouterService::StubInterface& router,
                                        grpc::ClientContext& context, const v1::CompleteRequest& request,
                                        const OnText& on_text) {
  return ReadAll<v1::CompleteResponse>(router.Complete(&context, request), request.answers(), context,
                                       on_text, {});
}

std::string FinishReasonName(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_STOP: return "stop";
    case v1::FINISH_REASON_LENGTH: return "length";
    case v1::FINISH_REASON_CANCELLED: return "cancelled";
    default: return "unknown";
  }
}

nlohmann::json LogprobsJson(const Answer& answer) {
  nlohmann::json positions = nlohmann::json::array();
  for (const v1::PositionLogprobs& position : answer.logprobs) {
    nlohmann::json entry = ToJson(position.chosen());
    entry["top"] = nlohmann::json::array();
    for (const v1::TokenLogprob& token : position.top()) entry["top"].push_back(ToJson(token));
    positions.push_back(std::move(entry));
  }
  return positions;
}

}  // namespace conclave::app
