#pragma once

#include <cstdint>

#include "engine/model/language_model.h"

namespace conclave::app {

/// Sequences with equal numbers of prompt and answer tokens; no two prompts begin alike.
struct BatchShape {
  int64_t streams = 16;
  int64_t prompt = 128;
  int64_t tokens = 64;
};

struct BatchTimes {
  double prompt_s = 0.0;  ///< until every sequence has its first token
  double decode_s = 0.0;
};

/// Runs the sequences greedily, without any service: all prompts first, in steps of `step_tokens` that are
/// filled across sequences, then one token of every sequence a step. `kv` must have room for all of them;
/// `feed_forward` computes the model's feed-forward layers.
/// Errors: as LanguageModel::Forward; RESOURCE_EXHAUSTED (no room).
Result<BatchTimes> RunBareBatch(engine::LanguageModel& model, engine::FeedForward& feed_forward,
                                engine::KvPool& kv, const BatchShape& shape, int64_t step_tokens);

}  // namespace conclave::app
