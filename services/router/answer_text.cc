#include "services/router/answer_text.h"

#include <span>
#include <utility>

namespace conclave::router {

AnswerText::AnswerText(std::shared_ptr<const TokenTable> tokens, const v1::SamplingParams& sampling)
    : detokenizer_(std::move(tokens)),
      matcher_({sampling.stop().begin(), sampling.stop().end()}),
      show_logprobs_(sampling.has_logprobs()) {}

Result<v1::AnswerDelta> AnswerText::Take(const v1::SequenceEvent& event) {
  v1::AnswerDelta delta;
  if (stopped()) return delta;
  CONCLAVE_ASSIGN_OR_RETURN(const std::string decoded, Decode(event));
  for (const int32_t token : event.token_ids()) {
    delta.add_token_ids(token);
    token_ids_.push_back(token);
  }
  for (const auto& position : event.logprobs()) {
    logprobs_.push_back(position.chosen().logprob());
    if (show_logprobs_) *delta.add_logprobs() = position;
  }
  std::string certain = matcher_.Push(decoded);
  if (event.has_end() && !stopped()) certain += matcher_.Flush();
  text_ += certain;
  delta.set_text(std::move(certain));
  return delta;
}

Result<std::string> AnswerText::Decode(const v1::SequenceEvent& event) {
  std::span<const int32_t> tokens(event.token_ids().data(), static_cast<size_t>(event.token_ids_size()));
  const bool ended_itself = event.has_end() && event.end().finish_reason() == v1::FINISH_REASON_STOP;
  if (ended_itself && !tokens.empty())
    tokens = tokens.first(tokens.size() - 1);  // The end token has no text.
  Result<std::string> text = detokenizer_.Append(tokens);
  if (!text.ok()) return Internal("the decoder made what is no token: " + text.status().message());
  if (event.has_end()) *text += detokenizer_.Finish();
  return text;
}

}  // namespace conclave::router
