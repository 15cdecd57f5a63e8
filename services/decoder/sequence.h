#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/status.h"
#include "engine/cache/kv_cache.h"
#include "engine/sampling/beam_search.h"
#include "engine/sampling/sampler.h"
#include "engine/speculation/prompt_lookup.h"
#include "services/decoder/kv_disk_tier.h"

namespace conclave::decoder {

using Clock = std::chrono::steady_clock;

/// Why a sequence ended; `error` is set when it failed.
enum class FinishReason : uint8_t { kStop, kLength, kCancelled };

struct SequenceEnd {
  FinishReason reason = FinishReason::kStop;
  Status error;
  int64_t prompt_tokens = 0;
  int64_t cached_prompt_tokens = 0;  ///< of these, taken from the prefix cache
  int64_t completion_tokens = 0;
  uint64_t seed = 0;
  int64_t prompt_us = 0;  ///< from the prompt's first chunk to the first token
  int64_t decode_us = 0;  ///< from the first token to the last
  std::optional<double> beam_score;
};

/// What one step made of one sequence.
struct SequenceEvent {
  uint64_t sequence_id = 0;
  std::vector<engine::SampledToken> tokens;
  bool with_logprobs = false;
  std::optional<SequenceEnd> end;
};

/// Where the events of one client stream go. Called by the scheduler's thread; must not block.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// All that one step made for this stream.
  virtual void Deliver(std::vector<SequenceEvent> events) = 0;
  /// Whether the stream can take what another step makes. While it cannot, its sequences pause; when it can
  /// again, the SchedulerActor is to be sent a ReadyMessage.
  virtual bool Ready() const = 0;
  /// Ends the stream with an error; what its reader has not taken is lost.
  virtual void Abort(Status error) = 0;
};

/// Another answer to the same prompt.
struct FurtherAnswer {
  uint64_t id = 0;
  uint64_t seed = 0;
};

/// A sequence as a client asked for it. `sink` and `id` together name it. With further answers it is several,
/// which differ in their ids and seeds, and whose prompt is computed once. With beams it is one search, and
/// its answers are the best that the search finds.
struct SequenceRequest {
  std::shared_ptr<EventSink> sink;
  uint64_t id = 0;
  std::vector<int32_t> prompt;
  engine::SamplingParams sampling;
  int64_t max_tokens = 0;  ///< 0: kDefaultMaxTokens
  std::unordered_set<int32_t> end_tokens;
  bool ignore_end = false;
  std::string request_id;
  std::string tenant;
  std::vector<FurtherAnswer> further;
  engine::BeamParams beams;

  int64_t answers() const { return 1 + static_cast<int64_t>(further.size()); }
  /// Rows of a step, and places in the cache, once the prompt is computed.
  int64_t width() const { return std::max(answers(), beams.beams); }
  int64_t prompt_tokens() const { return static_cast<int64_t>(prompt.size()); }
  /// All that it may come to; known once `max_tokens` is.
  int64_t tokens() const { return prompt_tokens() + width() * max_tokens; }
  bool Has(const EventSink* stream, uint64_t answer) const;
  /// The request for one of the further answers alone.
  SequenceRequest ForFurther(const FurtherAnswer& answer) const;
  /// Takes out one of its several answers.
  void Drop(uint64_t answer);
};

/// What a step made of one sequence: the tokens that follow its last one, more than one when guesses came
/// true, and why there is no further one, if that failed.
struct SampledTokens {
  std::vector<engine::SampledToken> tokens;
  Status error;
  engine::BeamRow beam_row;  ///< of a beam, in place of tokens
};

class BeamGroup;

/// A sequence that was given a place in the cache.
struct Sequence {
  /// What `place` holds already is the beginning of the prompt.
  Sequence(SequenceRequest asked, engine::KvSequence place, int64_t most_drafts = 0)
      : request(std::move(asked)),
        cache(std::move(place)),
        sampler(request.sampling, request.prompt),
        cached_prompt_tokens(cache.length()),
        draft_budget(most_drafts) {
    if (most_drafts > 0) lookup.Append(request.prompt);
  }

  SequenceRequest request;
  engine::KvSequence cache;
  /// While blocks that continue `cache` come from disk; the sequence is in no step then.
  std::unique_ptr<KvDiskLoad> load;
  engine::Sampler sampler;
  /// The answer's last token, which the next step computes, and guesses of those that follow it; empty while
  /// the prompt is processed.
  std::vector<int32_t> next_tokens;
  std::vector<int32_t> answer;
  int64_t cached_prompt_tokens = 0;
  /// The sequence that computes the prompt for this one too, which has room for the rest alone until then.
  Sequence* prompt_from = nullptr;
  std::shared_ptr<BeamGroup> beams;  ///< of which this one is a place; null for others
  engine::PromptLookup lookup;
  engine::DraftBudget draft_budget;
  Clock::time_point started;
  Clock::time_point first_token;

  int64_t completion_tokens() const { return static_cast<int64_t>(answer.size()); }
  /// Whether it is, or makes, that answer of the stream.
  bool Makes(const EventSink* stream, uint64_t id) const;
  /// Whether its prompt is still to be computed; true, with nothing left to compute, for a place without a
  /// beam.
  bool InPrompt() const { return next_tokens.empty(); }
  std::span<const int32_t> Drafts() const {
    return InPrompt() ? std::span<const int32_t>() : std::span(next_tokens).subspan(1);
  }
  /// Whether the answer ends with `token`.
  bool EndsWith(int32_t token) const { return !request.ignore_end && request.end_tokens.contains(token); }
  int64_t PromptLeft() const { return static_cast<int64_t>(request.prompt.size()) - cache.length(); }
};

}  // namespace conclave::decoder
