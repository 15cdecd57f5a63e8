#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "conclave/v1/decoder.pb.h"
#include "services/router/answer_text.h"

namespace conclave::router {

/// One of a request's answers on its way from the decoder to the record.
struct AnswerProgress {
  explicit AnswerProgress(const v1::SamplingParams& sampling) : text(sampling) {}

  std::string response_id;
  uint64_t seed = 0;
  uint64_t sequence_id = 0;
  bool decoding = false;
  std::deque<v1::SequenceEvent> unpushed;  ///< at most the request's max_tokens
  uint64_t text_id = 0;
  bool text_open = false;
  AnswerText text;
  std::optional<double> first_token_ms;
  v1::SequenceEnd end;
  bool over = false;  ///< finished, or failed
};

}  // namespace conclave::router
