#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <grpcpp/channel.h>

#include "base/result.h"

namespace conclave::app {

/// What clients ask a router for, all at once: each stream asks for one raw completion after the other, with
/// greedy answers of exactly `tokens` tokens.
struct Load {
  int64_t streams = 16;
  int64_t rounds = 1;  ///< completions of each stream
  int64_t prompt = 128;
  int64_t tokens = 64;
  int64_t first_seed = 0;  ///< prompts differ from those of other seeds from their first token on
};

/// What the clients saw. Seconds.
struct LoadTimes {
  double total_s = 0.0;               ///< from the first request to the last answer's end
  std::vector<double> first_token_s;  ///< from a request to its answer's first token, one each
  /// From the prompt's first chunk to the first token, as the decoder saw it, one each.
  std::vector<double> decoder_prompt_s;
  std::vector<double> between_tokens_s;  ///< from one message with tokens to the next of the same answer
};

/// Runs the load and waits for its end; one thread a stream. Errors: what the router answered first.
Result<LoadTimes> RunLoad(const std::shared_ptr<grpc::Channel>& router, const Load& load);

/// Time between the tokens of running answers, without and beside a long prompt.
struct BesideTimes {
  std::vector<double> idle_s;
  std::vector<double> beside_s;
  double prompt_s = 0.0;  ///< from the long prompt's request to its first token
};

/// Starts `streams` answers to short prompts; when each has said `tokens` tokens sends one prompt of
/// `long_prompt` tokens, and ends everything when that one's first token has come. Errors: what the router
/// answered first.
Result<BesideTimes> RunBesideLongPrompt(const std::shared_ptr<grpc::Channel>& router, const Load& load,
                                        int64_t long_prompt);

/// The value that `share` of the numbers do not exceed (nearest rank); 0 of none.
double Quantile(std::vector<double> numbers, double share);

}  // namespace conclave::app
