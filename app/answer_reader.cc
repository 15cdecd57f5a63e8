#include "app/answer_reader.h"

#include <memory>

#include "platform/rpc/status_mapping.h"

namespace conclave::app {
namespace {

template <typename Response>
Result<Answer> ReadAll(std::unique_ptr<grpc::ClientReaderInterface<Response>> reader,
                       grpc::ClientContext& context, const OnText& on_text, const OnStarted& on_started) {
  Answer answer;
  Response response;
  while (reader->Read(&response)) {
    if (response.has_started()) {
      answer.started = response.started();
      if (on_started) on_started(answer.started);
    } else if (response.has_delta()) {
      const v1::AnswerDelta& delta = response.delta();
      answer.text += delta.text();
      answer.token_ids.insert(answer.token_ids.end(), delta.token_ids().begin(), delta.token_ids().end());
      answer.logprobs.insert(answer.logprobs.end(), delta.logprobs().begin(), delta.logprobs().end());
      if (on_text && !delta.text().empty()) on_text(delta.text());
    } else if (response.has_finished()) {
      answer.finished = response.finished();
    }
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return platform::FromGrpcStatus(status, &context);
  return answer;
}

nlohmann::json ToJson(const v1::TokenLogprob& token) {
  return {{"token_id", token.token_id()}, {"logprob", token.logprob()}};
}

}  // namespace

Result<Answer> AskChat(v1::RouterService::StubInterface& router, grpc::ClientContext& context,
                       const v1::ChatRequest& request, const OnText& on_text, const OnStarted& on_started) {
  return ReadAll<v1::ChatResponse>(router.Chat(&context, request), context, on_text, on_started);
}

Result<Answer> AskComplete(v1::RouterService::StubInterface& router, grpc::ClientContext& context,
                           const v1::CompleteRequest& request, const OnText& on_text) {
  return ReadAll<v1::CompleteResponse>(router.Complete(&context, request), context, on_text, {});
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
