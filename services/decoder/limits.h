#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace conclave::decoder {

/// A prompt's chunk is at least this long while others wait, so that no prompt starves behind many answers.
inline constexpr int64_t kLeastChunkTokens = 32;
/// The same where prompts are paced, so that answers beside them keep flowing (StepPacer).
inline constexpr int64_t kLeastPacedTokens = 8;
/// End tokens that one sequence may name.
inline constexpr int64_t kMostEndTokens = 64;
/// Answers to one prompt that a request may ask for.
inline constexpr int64_t kMostAnswers = 16;
/// Answer length when a request names none.
inline constexpr int64_t kDefaultMaxTokens = 512;
/// Answers whose next tokens are guessed leave off guessing when a step has more rows than this: then the
/// weights are read for so many rows that each further one costs as much as it can save.
inline constexpr int64_t kMostRowsWithDrafts = 8;
/// How soon a refused request may come again.
inline constexpr int64_t kRetryAfterMs = 1000;

/// How long a client that does not read may keep its sequences, with their places in the cache, in
/// milliseconds. To go on it must have read a quarter of its stream's queue in that time: 256 steps.
inline constexpr int64_t kLongestPauseMs = 30'000;

/// Blocks of keys and values that wait to be written to disk, in bytes; what is evicted beyond that is lost.
inline constexpr size_t kMostWaitingDiskBytes = 64 << 20;
/// Blocks on disk, whatever their size: their index is kept in memory.
inline constexpr int64_t kMostDiskBlocks = 1 << 16;
/// How long a sequence waits for its blocks from disk at most; what has not come by then is computed.
inline constexpr int64_t kLongestDiskLoadMs = 2000;
/// How long the disk is left alone after it failed.
inline constexpr int64_t kDiskRestMs = 60'000;
/// How long the decoder's end may be put off to write down what the prefix cache holds.
inline constexpr int64_t kLongestDiskSaveMs = 5000;

/// How long one feed-forward layer may take in shards, with everything that is asked again. Tests choose it.
inline constexpr std::chrono::milliseconds kLayerTimeout{5000};
/// How long a shard may take to take a frame in, and to share memory with this process.
inline constexpr std::chrono::milliseconds kFrameSendTimeout{2000};
inline constexpr std::chrono::milliseconds kAttachTimeout{1000};
/// What reading an expert's weights takes, in rows that are computed with them: shares of less are not worth
/// another shard.
inline constexpr int64_t kRowsOfAWeightRead = 16;
/// A pause where a layer's work can be done nowhere at the moment.
inline constexpr std::chrono::milliseconds kLinkRetryPause{20};
/// How long a shard may take to say what lives there: one that is needed, and one that others stand in for.
inline constexpr std::chrono::milliseconds kShardIntroduction{1000};
inline constexpr std::chrono::milliseconds kShardProbe{20};
/// How long a shard that failed is left alone where others stand in for it; twice as long each time.
inline constexpr std::chrono::milliseconds kFirstShardRest{200};
inline constexpr std::chrono::milliseconds kLongestShardRest{10'000};
/// A shard is late, and its work goes to others where it can, when it takes so many times what it usually
/// takes, and at least so long.
inline constexpr int64_t kLateTimes = 8;
inline constexpr std::chrono::milliseconds kLeastLateness{100};
/// Frames on their way to one shard at once: the next ones travel while one is computed.
inline constexpr size_t kMostFramesInFlight = 4;
/// Of one shard's answer to one frame.
inline constexpr int64_t kExpertAnswerBytes = int64_t{16} << 20;
inline constexpr size_t kMostExpertAnswerBytes = size_t{2} * kExpertAnswerBytes;

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
  /// Guesses of one sequence's next tokens that a step checks at most (PromptLookup); 0: none. They change no
  /// token.
  int64_t draft_tokens = 0;
  /// While prompts are computed, a step of running answers may take so many percent of what it takes without;
  /// 0: prompts fill every step.
  int64_t slowdown_percent = 0;
  /// Not the operator's: tests choose it.
  int64_t longest_pause_ms = kLongestPauseMs;
};

}  // namespace conclave::decoder
