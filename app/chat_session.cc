#include "app/chat_session.h"

#include <utility>

#include "base/utf8.h"
#include "platform/rpc/status_mapping.h"

namespace conclave::app {
namespace {

/// The router takes 1,024 messages.
constexpr size_t kMostTurns = 500;

constexpr char kNoAnswerYet[] = "there is no answer to rate yet";

v1::ChatMessage Message(v1::Role role, const std::string& content) {
  v1::ChatMessage message;
  message.set_role(role);
  message.set_content(content);
  return message;
}

}  // namespace

ChatSession::ChatSession(std::shared_ptr<grpc::Channel> channel, Options options)
    : options_(std::move(options)),
      router_(v1::RouterService::NewStub(channel)),
      feedback_(v1::FeedbackService::NewStub(channel)),
      why_unratable_(kNoAnswerYet) {}

void ChatSession::Reset() {
  turns_.clear();
  last_response_id_.clear();
  last_vote_token_.clear();
  why_unratable_ = kNoAnswerYet;
}

Result<Answer> ChatSession::Say(const std::string& text, const OnText& on_text, Interrupts& interrupts) {
  if (!IsValidUtf8(text)) return InvalidArgument("the message is not valid UTF-8");
  forgotten_turns_ = 0;
  const size_t turns = turns_.size();
  size_t left_out = turns > kMostTurns ? turns - kMostTurns : 0;
  auto answer = Ask(text, left_out, on_text, interrupts);
  while (answer.status().code() == StatusCode::kOutOfRange && left_out < turns) {
    answer = Ask(text, ++left_out, on_text, interrupts);
  }
  if (!answer.ok()) {
    last_vote_token_.clear();
    why_unratable_ = "the last answer was not finished, so that it cannot be rated";
    return answer;
  }
  turns_.erase(turns_.begin(), turns_.begin() + static_cast<std::ptrdiff_t>(left_out));
  forgotten_turns_ = left_out;
  turns_.push_back({.question = text, .answer = answer->text});
  last_response_id_ = answer->started.response_id();
  last_vote_token_ = answer->finished.vote_token();
  return answer;
}

Result<Answer> ChatSession::Ask(const std::string& text, size_t left_out, const OnText& on_text,
                                Interrupts& interrupts) {
  v1::ChatRequest request;
  if (!options_.system.empty()) *request.add_messages() = Message(v1::ROLE_SYSTEM, options_.system);
  for (size_t turn = left_out; turn < turns_.size(); ++turn) {
    *request.add_messages() = Message(v1::ROLE_USER, turns_[turn].question);
    *request.add_messages() = Message(v1::ROLE_ASSISTANT, turns_[turn].answer);
  }
  *request.add_messages() = Message(v1::ROLE_USER, text);
  *request.mutable_sampling() = options_.sampling;
  request.set_collection(options_.collection);
  request.set_top_n(options_.top_n);

  grpc::ClientContext context;
  interrupts.SetAction([&context] { context.TryCancel(); });
  auto answers = AskChat(*router_, context, request, on_text);
  interrupts.SetAction({});
  if (!answers.ok()) return answers.status();
  return std::move(answers->front());
}

Result<std::string> ChatSession::RateLast(bool good) {
  if (last_vote_token_.empty()) return FailedPrecondition(why_unratable_);
  v1::RateRequest request;
  request.set_response_id(last_response_id_);
  request.set_vote_token(last_vote_token_);
  request.mutable_vote()->set_thumb(good ? v1::THUMB_GOOD : v1::THUMB_BAD);
  v1::RateResponse response;
  grpc::ClientContext context;
  const grpc::Status status = feedback_->Rate(&context, request, &response);
  if (!status.ok()) return platform::FromGrpcStatus(status, &context);
  last_vote_token_.clear();
  why_unratable_ = "the last answer was rated already";
  return response.rating_id();
}

}  // namespace conclave::app
