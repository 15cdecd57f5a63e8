#pragma once

#include <cstdint>

namespace conclave::decoder {

/// A prompt's chunk is at least this long while others wait, so that no prompt starves behind many answers.
inline constexpr int64_t kLeastChunkTokens = 32;
/// End tokens that one sequence may name.
inline constexpr int64_t kMostEndTokens = 64;
/// Answer length when a request names none.
inline constexpr int64_t kDefaultMaxTokens = 512;
/// How soon a refused request may come again.
inline constexpr int64_t kRetryAfterMs = 1000;

/// How long a client that does not read may keep its sequences, with their places in the cache, in
/// milliseconds. To go on it must have read a quarter of its stream's queue in that time: 256 steps.
inline constexpr int64_t kLongestPauseMs = 30'000;

/// What the operator sets (configuration: limits).
struct DecoderLimits {
  int64_t running_sequences = 64;
  int64_t queued_sequences = 256;
  int64_t queued_tokens = 1 << 20;
  /// Tokens that one step computes at most: prompts are cut into chunks, so that running answers keep
  /// flowing.
  int64_t step_tokens = 256;
  /// Of the keys' and values' memory, how much may hold what ended sequences computed; 0: none.
  int64_t prefix_cache_bytes = 0;
  /// Not the operator's: tests choose it.
  int64_t longest_pause_ms = kLongestPauseMs;
};

}  // namespace conclave::decoder
