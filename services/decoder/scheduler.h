#pragma once

#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/model/transformer.h"
#include "services/decoder/beam_group.h"
#include "services/decoder/limits.h"
#include "services/decoder/paused_streams.h"
#include "services/decoder/prefix_sharing.h"
#include "services/decoder/request_queue.h"
#include "services/decoder/sequence.h"
#include "services/decoder/step_pacer.h"

namespace conclave::decoder {

/// Tokens since the start.
struct WorkTotals {
  int64_t prompt_tokens = 0;  ///< computed
  /// Taken from the prefix cache, in memory or on disk, or from another answer's sequence.
  int64_t cached_prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t draft_tokens = 0;  ///< guessed
  int64_t accepted_draft_tokens = 0;
};

struct SchedulerStatus {
  int64_t running = 0;
  int64_t paused = 0;  ///< of the running ones
  int64_t queued = 0;
  int64_t queued_tokens = 0;
  int64_t kv_bytes_used = 0;
  int64_t kv_bytes_total = 0;
  PrefixStatus prefixes;
  PrefixDiskStatus disk;
  WorkTotals totals;
};

/// Continuous batching (Orca, OSDI 2022) with chunked prompts (arXiv 2308.16369): sequences join and leave at
/// every step. A sequence joins only when the cache has room for its prompt and its longest answer, so a
/// running sequence never runs out. Sequences wait in the order they came. What a tenant's sequences
/// computed is not computed again for the same tenant (PrefixSharing), and of prompts that begin alike and
/// come together the first computes that part for all; that changes no token.
///
/// A sequence whose prompt the disk continues joins at once, and is left out of the steps until its blocks
/// have come, kLongestDiskLoadMs at most; HasWork says so meanwhile, and Plan takes them in.
///
/// The answers of one request join together, with room for all of them, so that none waits for room that
/// another holds. The first computes the prompt; then each draws its first token from the same logits and
/// goes on in a sequence of its own (docs/decisions/0014).
///
/// The beams of one search are sequences that join together too, with room for all of them to the end, and
/// are in the same steps; their answers are told when the search is done (BeamGroup, docs/decisions/0017).
///
/// The sequences of a stream that is not ready for more are left out of the steps: they keep their place in
/// the cache, cost nothing, and hold up nobody who waits behind them. A pause never changes what a sequence
/// computes. One that lasts DecoderLimits::longest_pause_ms ends the stream with RESOURCE_EXHAUSTED, so that
/// its cache goes to others (docs/decisions/0009). Holds no thread and no clock of its own.
class Scheduler {
 public:
  /// `vocabulary`, `context` and `model_hash` are the model's. `pool` must outlive the scheduler. `disk`
  /// may be null.
  Scheduler(const DecoderLimits& limits, engine::KvPool& pool, int64_t vocabulary, int64_t context,
            std::string model_hash = {}, std::shared_ptr<KvDiskTier> disk = nullptr);

  /// Takes a request's sequences in, all or none. Errors: INVALID_ARGUMENT (empty prompt, a token outside the
  /// vocabulary, a sampling parameter outside its range, too many answers), OUT_OF_RANGE (a prompt longer
  /// than the context; it can never fit into the cache or among the running ones), ALREADY_EXISTS (the stream
  /// uses one of the ids), RESOURCE_EXHAUSTED (queue full).
  Status Admit(SequenceRequest request);

  /// Ends one sequence of a stream, or all of them; they cost nothing from the next step on. The stream is
  /// told with FinishReason::kCancelled. Unknown ids are ignored: the sequence may just have ended.
  void Cancel(const EventSink* sink, uint64_t id);
  void CancelAll(const EventSink* sink);

  bool HasWork() const { return !running_.empty() || !queue_.empty(); }
  SchedulerStatus Snapshot() const;

  /// The next step: one token for each running answer, and prompt chunks up to DecoderLimits::step_tokens.
  /// Empty when there is nothing to compute, or only for streams that are paused. Asks each stream once
  /// whether it is ready, and ends those that were not for too long. Valid until the next call of another
  /// method.
  std::span<const engine::SequenceStep> Plan(Clock::time_point now);

  /// Whether a sequence waits for the disk.
  bool Loading() const;

  /// For the end: keeps on disk what the prefix cache holds. Takes kLongestDiskSaveMs and a bit at most.
  void Save() { prefixes_.Save(std::chrono::milliseconds(kLongestDiskSaveMs)); }

  /// When a stream that was paused at the last Plan may be ended, if it stays so; nothing when none was.
  std::optional<Clock::time_point> PauseEnds() const;

  /// Takes what the step made: `sampled[i]` for the i-th of the sampled sequences. Delivers events.
  void Complete(std::vector<SampledTokens> sampled, Clock::time_point now);

  /// The step failed: every sequence in it ends with `error`.
  void Fail(const Status& error);

  /// The sequences that the planned step samples for, in the order of the rows of logits; each has one row
  /// and one for each of its drafts. One with `prompt_from` has no row of its own: it stands behind that
  /// sequence and samples from the same logits.
  const std::vector<Sequence*>& sampled_sequences() const { return sampled_sequences_; }

 private:
  using Running = std::list<std::unique_ptr<Sequence>>;

  void AskStreams(Clock::time_point now);
  void FinishLoads(Clock::time_point now);
  void Join(Clock::time_point now);
  void Run(SequenceRequest request, std::vector<engine::KvSequence> places, Clock::time_point now);
  void TakeOverPrompt(Sequence& sequence);
  void HandOverPrompt(Sequence& sequence);
  void PlanAnswers(int64_t& budget);
  void PlanPrompts(int64_t& budget);
  void AddFirstSampled(Sequence& sequence);
  void Guess(Sequence& sequence, int64_t most) const;
  void Take(Sequence& sequence, SampledTokens sampled, Clock::time_point now);
  bool TakeBeam(Sequence& sequence, SampledTokens sampled, Clock::time_point now);
  void AdvanceBeams(const Sequence& sequence, Clock::time_point now);
  void TellBeams(const Sequence& sequence, Clock::time_point now);
  void CancelBeam(const Sequence& sequence, uint64_t id);
  void FailBeams(const Sequence& sequence, const Status& error, Clock::time_point now);
  void EndBeams(const Sequence& sequence);
  std::vector<Sequence*> PlacesOf(const BeamGroup& beams) const;
  SequenceEnd EndOfBeam(const Sequence& sequence, SequenceEnd end, size_t rank, Clock::time_point now) const;
  bool HasEnded(const Sequence& sequence) const;
  bool ShouldWait(const SequenceRequest& request) const;
  void Finish(Sequence& sequence, SequenceEnd end, Clock::time_point now);
  void Emit(const std::shared_ptr<EventSink>& sink, SequenceEvent event);
  void Flush();
  void RemoveEnded();

  DecoderLimits limits_;
  engine::KvPool& pool_;
  PrefixSharing prefixes_;
  StepPacer pacer_;
  RequestQueue queue_;
  Running running_;
  /// The request that there was no room for, until something ends; its prompt need not be looked up again.
  std::optional<std::pair<const EventSink*, uint64_t>> no_room_for_;
  PausedStreams paused_;
  WorkTotals totals_;

  Clock::time_point planned_;  ///< when the step was
  std::vector<engine::SequenceStep> plan_;
  std::vector<Sequence*> planned_sequences_;
  std::vector<Sequence*> sampled_sequences_;
  std::vector<const Sequence*> ended_;
  std::vector<std::pair<std::shared_ptr<EventSink>, std::vector<SequenceEvent>>> outbox_;
};

}  // namespace conclave::decoder
