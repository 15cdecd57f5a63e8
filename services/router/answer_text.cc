#include "services/router/answer_text.h"

namespace conclave::router {

AnswerText::AnswerText(const v1::SamplingParams& sampling)
    : matcher_({sampling.stop().begin(), sampling.stop().end()}), show_logprobs_(sampling.has_logprobs()) {}

void AnswerText::Expect(const v1::SequenceEvent& tokens) { expected_.push_back(tokens); }

v1::AnswerDelta AnswerText::Take(const std::string& text, bool last) {
  v1::AnswerDelta delta;
  if (stopped()) return delta;
  if (!expected_.empty()) {
    const v1::SequenceEvent& event = expected_.front();
    for (const int32_t token : event.token_ids()) {
      delta.add_token_ids(token);
      token_ids_.push_back(token);
    }
    for (const auto& position : event.logprobs()) {
      logprobs_.push_back(position.chosen().logprob());
      if (show_logprobs_) *delta.add_logprobs() = position;
    }
    expected_.pop_front();
  }
  std::string certain = matcher_.Push(text);
  if (last && !stopped()) certain += matcher_.Flush();
  text_ += certain;
  delta.set_text(std::move(certain));
  return delta;
}

}  // namespace conclave::router
