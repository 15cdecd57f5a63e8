#pragma once

#include <deque>
#include <string>
#include <vector>

#include "conclave/v1/decoder.pb.h"
#include "conclave/v1/router.pb.h"
#include "services/router/stop_matcher.h"

namespace conclave::router {

/// Joins an answer's tokens with the text that the tokenizer makes of them, part by part, and ends it at a
/// stop text.
class AnswerText {
 public:
  explicit AnswerText(const v1::SamplingParams& sampling);

  /// Tokens went to the tokenizer; their text will come back in the same order.
  void Expect(const v1::SequenceEvent& tokens);

  /// How many times Expect was called whose text has not come.
  size_t expected() const { return expected_.size(); }

  /// The text of the oldest expected tokens came (`last`: and no more will). The delta holds what is certain.
  v1::AnswerDelta Take(const std::string& text, bool last);

  /// A stop text was found: nothing more of the answer counts.
  bool stopped() const { return matcher_.matched(); }

  const std::string& text() const { return text_; }
  const std::vector<int32_t>& token_ids() const { return token_ids_; }
  const std::vector<float>& logprobs() const { return logprobs_; }

 private:
  StopMatcher matcher_;
  bool show_logprobs_;
  std::deque<v1::SequenceEvent> expected_;
  std::string text_;
  std::vector<int32_t> token_ids_;
  std::vector<float> logprobs_;
};

}  // namespace conclave::router
