#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "conclave/v1/decoder.pb.h"
#include "services/router/answer_text.h"

namespace conclave::router {

/// One of a request's answers on its way from the decoder to the record.
struct AnswerProgress {
  AnswerProgress(std::shared_ptr<const TokenTable> tokens, const v1::SamplingParams& sampling)
      : text(std::move(tokens), sampling) {}

  std::string response_id;
  uint64_t seed = 0;
  uint64_t sequence_id = 0;
  bool decoding = false;
  AnswerText text;
  std::optional<double> first_token_ms;
  v1::SequenceEnd end;
  bool over = false;  ///< finished, or failed
};

}  // namespace conclave::router
