#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/result.h"
#include "conclave/v1/retriever.pb.h"
#include "conclave/v1/router.pb.h"

namespace conclave::router {

/// A Chat or Complete request as a RequestActor carries it out; checked.
struct RequestPlan {
  std::string model;
  bool is_chat = false;
  std::vector<v1::ChatMessage> messages;  ///< chat: what the client sent
  std::string prompt;                     ///< complete
  bool parse_special = false;
  std::vector<int32_t> prompt_token_ids;  ///< complete: instead of `prompt`
  v1::SamplingParams sampling;
  uint32_t answers = 1;

  /// Sequences that the decoder runs for it at once.
  uint32_t width() const { return std::max(answers, sampling.beam_search().beams()); }

  std::string session_id;
  std::string collection;
  uint32_t top_n = 0;
};

/// Errors: INVALID_ARGUMENT that names the field, what it holds and what it may hold.
Result<RequestPlan> PlanOf(const v1::ChatRequest& request);
Result<RequestPlan> PlanOf(const v1::CompleteRequest& request);

/// What is looked up for a chat: its newest user message.
std::string SearchQuery(const std::vector<v1::ChatMessage>& messages);

/// The conversation with the found passages in its system message, numbered, with their sources.
std::vector<v1::ChatMessage> WithPassages(std::vector<v1::ChatMessage> messages,
                                          const v1::SearchResponse& found);

}  // namespace conclave::router
