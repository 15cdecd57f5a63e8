#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/detokenizer.h"
#include "base/result.h"
#include "conclave/v1/decoder.pb.h"
#include "conclave/v1/router.pb.h"
#include "services/router/stop_matcher.h"

namespace conclave::router {

/// Turns an answer's tokens into its text, part by part, and ends it at a stop text.
class AnswerText {
 public:
  AnswerText(std::shared_ptr<const TokenTable> tokens, const v1::SamplingParams& sampling);

  /// The answer's next tokens; with the event that ends it, its last ones. The delta holds them and what text
  /// is certain; after a stop text it is empty. Errors: INTERNAL (a token that the vocabulary does not have).
  Result<v1::AnswerDelta> Take(const v1::SequenceEvent& event);

  /// A stop text was found: nothing more of the answer counts.
  bool stopped() const { return matcher_.matched(); }

  const std::string& text() const { return text_; }
  const std::vector<int32_t>& token_ids() const { return token_ids_; }
  const std::vector<float>& logprobs() const { return logprobs_; }

 private:
  Result<std::string> Decode(const v1::SequenceEvent& event);

  Detokenizer detokenizer_;
  StopMatcher matcher_;
  bool show_logprobs_;
  std::string text_;
  std::vector<int32_t> token_ids_;
  std::vector<float> logprobs_;
};

}  // namespace conclave::router
