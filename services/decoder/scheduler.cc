#include "services/decoder/scheduler.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

namespace conclave::decoder {
namespace {

int64_t MicrosBetween(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
}

}  // namespace

Scheduler::Scheduler(const DecoderLimits& limits, engine::KvPool& pool, int64_t vocabulary, int64_t context,
                     std::string model_hash, std::shared_ptr<KvDiskTier> disk)
    : limits_(limits),
      pool_(pool),
      prefixes_(pool, limits.prefix_cache_bytes, std::move(model_hash), std::move(disk)),
      pacer_(limits.slowdown_percent),
      queue_(limits, pool.total_blocks(), vocabulary, context) {}

Status Scheduler::Admit(SequenceRequest request) {
  return queue_.Add(std::move(request), [this](const EventSink* sink, uint64_t id) {
    return std::ranges::any_of(running_, [&](const auto& s) { return s->Makes(sink, id); });
  });
}

void Scheduler::Cancel(const EventSink* sink, uint64_t id) {
  no_room_for_.reset();
  if (auto cancelled = queue_.Cancel(sink, id)) {
    Emit(cancelled->first, std::move(cancelled->second));
    return Flush();
  }
  for (const auto& sequence : running_) {
    if (!sequence->Makes(sink, id)) continue;
    if (sequence->beams != nullptr) {
      CancelBeam(*sequence, id);
    } else {
      Finish(*sequence, {.reason = FinishReason::kCancelled}, Clock::now());
    }
    break;
  }
  RemoveEnded();
  Flush();
}

void Scheduler::CancelAll(const EventSink* sink) {
  no_room_for_.reset();
  queue_.CancelAll(sink);
  for (const auto& sequence : running_) {
    if (sequence->request.sink.get() != sink) continue;
    prefixes_.Keep(*sequence);
    ended_.push_back(sequence.get());
  }
  RemoveEnded();
}

SchedulerStatus Scheduler::Snapshot() const {
  const auto paused = std::count_if(running_.begin(), running_.end(),
                                    [&](const auto& s) { return paused_.Contains(s->request.sink); });
  return {.running = static_cast<int64_t>(running_.size()),
          .paused = static_cast<int64_t>(paused),
          .queued = queue_.sequences(),
          .queued_tokens = queue_.tokens(),
          .kv_bytes_used = pool_.used_bytes(),
          .kv_bytes_total = pool_.total_bytes(),
          .prefixes = prefixes_.Snapshot(),
          .disk = prefixes_.DiskSnapshot(),
          .totals = totals_};
}

std::optional<Clock::time_point> Scheduler::PauseEnds() const {
  const auto since = paused_.OldestSince();
  if (!since.has_value()) return std::nullopt;
  return *since + std::chrono::milliseconds(limits_.longest_pause_ms);
}

void Scheduler::AskStreams(Clock::time_point now) {
  std::set<std::shared_ptr<EventSink>> streams;
  for (const auto& sequence : running_) streams.insert(sequence->request.sink);
  queue_.AddStreams(streams);
  paused_.Ask(streams, now);
  const std::chrono::milliseconds longest(limits_.longest_pause_ms);
  for (const auto& stream : paused_.RemovePausedSince(now - longest)) {
    stream->Abort(ResourceExhausted("the reader is too slow: it took next to nothing for " +
                                    std::to_string(longest.count()) +
                                    " ms while sequences waited for it; read faster or ask for less"));
    CancelAll(stream.get());
  }
}

/// What another one is about to compute for it comes to a request no later than if it joined now: chunks go
/// to prompts in their order.
bool Scheduler::ShouldWait(const SequenceRequest& request) const {
  if (paused_.Contains(request.sink)) return true;
  return std::any_of(running_.begin(), running_.end(), [&](const auto& sequence) {
    const bool computes = sequence->prompt_from == nullptr && !paused_.Contains(sequence->request.sink);
    return computes && prefixes_.Prepares(*sequence, request);
  });
}

bool Scheduler::Loading() const {
  return std::any_of(running_.begin(), running_.end(), [](const auto& s) { return s->load != nullptr; });
}

void Scheduler::FinishLoads(Clock::time_point now) {
  for (const auto& sequence : running_) {
    if (sequence->load == nullptr) continue;
    const bool late = now - sequence->started >= std::chrono::milliseconds(kLongestDiskLoadMs);
    if (!late && !sequence->load->Done()) continue;
    totals_.cached_prompt_tokens += prefixes_.FinishLoad(*sequence);
  }
}

void Scheduler::Join(Clock::time_point now) {
  auto next = queue_.begin();
  while (next != queue_.end() && static_cast<int64_t>(running_.size()) < limits_.running_sequences) {
    if (ShouldWait(*next)) {
      ++next;
      continue;
    }
    const std::pair<const EventSink*, uint64_t> name(next->sink.get(), next->id);
    if (no_room_for_ == name) return;
    const bool crowded = static_cast<int64_t>(running_.size()) + next->width() > limits_.running_sequences;
    if (crowded) return;
    std::vector<engine::KvSequence> places = prefixes_.Place(*next);
    if (places.empty()) {
      no_room_for_ = name;
      return;
    }
    Run(queue_.Take(next), std::move(places), now);
  }
}

/// Starts a request's sequences; all but the first wait for the prompt that it computes.
void Scheduler::Run(SequenceRequest request, std::vector<engine::KvSequence> places, Clock::time_point now) {
  const std::shared_ptr<BeamGroup> beams =
      request.beams.beams > 0 ? std::make_shared<BeamGroup>(request) : nullptr;
  const std::vector<FurtherAnswer> further = std::exchange(request.further, {});
  const int64_t drafts = beams == nullptr ? limits_.draft_tokens : 0;
  Sequence* first = nullptr;
  for (size_t i = 0; i < places.size(); ++i) {
    SequenceRequest one = i == 0 || beams != nullptr ? request : request.ForFurther(further[i - 1]);
    running_.push_back(std::make_unique<Sequence>(std::move(one), std::move(places[i]), drafts));
    Sequence& sequence = *running_.back();
    sequence.beams = beams;
    sequence.started = now;
    sequence.prompt_from = first;
    if (i == 0) first = &sequence;
  }
  totals_.cached_prompt_tokens += first->cached_prompt_tokens;
  prefixes_.StartLoad(*first);
}

std::span<const engine::SequenceStep> Scheduler::Plan(Clock::time_point now) {
  AskStreams(now);
  FinishLoads(now);
  Join(now);
  plan_.clear();
  planned_sequences_.clear();
  sampled_sequences_.clear();
  planned_ = now;
  int64_t budget = limits_.step_tokens;
  PlanAnswers(budget);
  budget = std::max(budget, kLeastChunkTokens);
  budget = pacer_.PromptTokens(static_cast<int64_t>(plan_.size()), budget);
  PlanPrompts(budget);
  return plan_;
}

void Scheduler::PlanAnswers(int64_t& budget) {
  for (const auto& sequence : running_) {
    if (sequence->InPrompt() || paused_.Contains(sequence->request.sink)) continue;
    planned_sequences_.push_back(sequence.get());
  }
  const auto answers = static_cast<int64_t>(planned_sequences_.size());
  const int64_t drafts = answers > 0 ? kMostRowsWithDrafts / answers - 1 : 0;
  for (Sequence* sequence : planned_sequences_) {
    Guess(*sequence, std::min(drafts, budget - answers));
    const auto rows = static_cast<int64_t>(sequence->next_tokens.size());
    plan_.push_back({.cache = &sequence->cache, .tokens = sequence->next_tokens, .logits_rows = rows});
    budget -= rows;
  }
  sampled_sequences_ = planned_sequences_;
}

/// No further than the longest answer: there is room for no more.
void Scheduler::Guess(Sequence& sequence, int64_t most) const {
  sequence.next_tokens.resize(1);  // An earlier plan that was not carried out may have left guesses.
  if (limits_.draft_tokens == 0 || sequence.beams != nullptr) return;
  most = std::min(most, sequence.request.max_tokens - sequence.completion_tokens() - 1);
  if (most <= 0) return;
  const std::vector<int32_t> drafts = sequence.lookup.Draft(std::min(most, sequence.draft_budget.Next()));
  sequence.next_tokens.insert(sequence.next_tokens.end(), drafts.begin(), drafts.end());
}

void Scheduler::PlanPrompts(int64_t& budget) {
  for (const auto& sequence : running_) {
    if (budget == 0) break;
    if (!sequence->InPrompt() || sequence->load != nullptr || sequence->prompt_from != nullptr) continue;
    if (paused_.Contains(sequence->request.sink)) continue;
    const int64_t left = sequence->PromptLeft();
    if (left == 0) continue;
    const int64_t count = std::min(left, budget);
    const int32_t* first = sequence->request.prompt.data() + sequence->cache.length();
    plan_.push_back({.cache = &sequence->cache,
                     .tokens = {first, static_cast<size_t>(count)},
                     .logits_rows = count == left ? 1 : 0});
    planned_sequences_.push_back(sequence.get());
    if (count == left) AddFirstSampled(*sequence);
    budget -= count;
  }
}

/// A prompt's last chunk: all answers to it draw their first token. Beams come from one row.
void Scheduler::AddFirstSampled(Sequence& sequence) {
  sampled_sequences_.push_back(&sequence);
  if (sequence.beams != nullptr) return;
  for (const auto& other : running_) {
    if (other->prompt_from == &sequence) sampled_sequences_.push_back(other.get());
  }
}

void Scheduler::Complete(std::vector<SampledTokens> sampled, Clock::time_point now) {
  int64_t answers = 0;
  int64_t prompt_tokens = 0;
  for (size_t i = 0; i < plan_.size(); ++i) {
    if (!planned_sequences_[i]->InPrompt()) {
      ++answers;
      continue;
    }
    prompt_tokens += static_cast<int64_t>(plan_[i].tokens.size());
    prefixes_.Keep(*planned_sequences_[i]);
  }
  totals_.prompt_tokens += prompt_tokens;
  pacer_.Learn(answers, prompt_tokens, std::chrono::duration<double>(now - planned_).count());
  for (Sequence* sequence : sampled_sequences_) TakeOverPrompt(*sequence);
  std::vector<Sequence*> beams;  // One of each search.
  for (size_t i = 0; i < sampled.size(); ++i) {
    Sequence& sequence = *sampled_sequences_[i];
    if (sequence.beams == nullptr) {
      Take(sequence, std::move(sampled[i]), now);
    } else if (TakeBeam(sequence, std::move(sampled[i]), now)) {
      const bool first = std::ranges::none_of(beams, [&](auto* b) { return b->beams == sequence.beams; });
      if (first) beams.push_back(&sequence);
    }
  }
  for (Sequence* sequence : beams) AdvanceBeams(*sequence, now);
  RemoveEnded();
  Flush();
}

/// Goes on from the prompt that another sequence has computed.
void Scheduler::TakeOverPrompt(Sequence& sequence) {
  if (sequence.prompt_from == nullptr) return;
  sequence.cache.Fork(sequence.prompt_from->cache);
  sequence.prompt_from = nullptr;
  sequence.cached_prompt_tokens = sequence.request.prompt_tokens();
  totals_.cached_prompt_tokens += sequence.cached_prompt_tokens;
}

/// Ends before its prompt is computed: the first of those that wait for it goes on with what there is of it.
void Scheduler::HandOverPrompt(Sequence& sequence) {
  Sequence* heir = nullptr;
  for (const auto& other : running_) {
    if (other->prompt_from != &sequence) continue;
    other->prompt_from = heir;
    if (heir != nullptr) continue;
    heir = other.get();
    heir->cache.Swap(sequence.cache);
    heir->load = std::move(sequence.load);
    heir->cached_prompt_tokens = sequence.cached_prompt_tokens;
  }
}

void Scheduler::Take(Sequence& sequence, SampledTokens sampled, Clock::time_point now) {
  const auto made = static_cast<int64_t>(sampled.tokens.size());
  if (sequence.InPrompt()) sequence.first_token = now;
  if (const auto drafts = static_cast<int64_t>(sequence.Drafts().size()); drafts > 0) {
    const int64_t accepted = std::max<int64_t>(made - 1, 0);
    sequence.cache.Retreat(drafts - accepted);
    sequence.draft_budget.Learn(drafts, accepted);
    totals_.draft_tokens += drafts;
    totals_.accepted_draft_tokens += accepted;
  }
  SequenceEvent event{.sequence_id = sequence.request.id,
                      .with_logprobs = sequence.request.sampling.logprobs.has_value()};
  for (engine::SampledToken& token : sampled.tokens) {
    sequence.answer.push_back(token.token_id);
    event.tokens.push_back(std::move(token));
  }
  totals_.completion_tokens += made;
  if (made > 0) {
    const std::span<const int32_t> said = std::span(sequence.answer).last(made);
    if (limits_.draft_tokens > 0) sequence.lookup.Append(said);
    sequence.next_tokens = {said.back()};
    Emit(sequence.request.sink, std::move(event));
  }
  if (!sampled.error.ok()) {
    Finish(sequence, {.error = std::move(sampled.error)}, now);
  } else if (sequence.EndsWith(sequence.answer.back())) {
    Finish(sequence, {.reason = FinishReason::kStop}, now);
  } else if (sequence.completion_tokens() >= sequence.request.max_tokens) {
    Finish(sequence, {.reason = FinishReason::kLength}, now);
  }
}

/// Whether the search goes on; it does not when one of its rows fails.
bool Scheduler::TakeBeam(Sequence& sequence, SampledTokens sampled, Clock::time_point now) {
  if (HasEnded(sequence)) return false;
  if (!sampled.error.ok()) {
    FailBeams(sequence, sampled.error, now);
    return false;
  }
  if (!sequence.beams->started()) {
    std::vector<Sequence*> places = PlacesOf(*sequence.beams);
    for (Sequence* place : places) TakeOverPrompt(*place);
    sequence.beams->Start(std::move(places), now);
  }
  sequence.beams->Take(sequence, std::move(sampled.beam_row));
  return true;
}

void Scheduler::AdvanceBeams(const Sequence& sequence, Clock::time_point now) {
  if (HasEnded(sequence)) return;
  sequence.beams->Advance();
  if (!sequence.beams->done()) return;
  TellBeams(sequence, now);
  EndBeams(sequence);
}

/// The search is done. Each answer is a delivery of its own: together they could be larger than a frame.
void Scheduler::TellBeams(const Sequence& sequence, Clock::time_point now) {
  std::vector<engine::BeamHypothesis> found = sequence.beams->Finished();
  const std::vector<std::optional<uint64_t>>& ids = sequence.beams->ids();
  for (size_t rank = 0; rank < ids.size(); ++rank) {
    if (!ids[rank].has_value()) continue;
    SequenceEvent event{.sequence_id = *ids[rank],
                        .with_logprobs = sequence.request.sampling.logprobs.has_value()};
    SequenceEnd end;
    if (rank < found.size()) {
      event.tokens = std::move(found[rank].tokens);
      end.reason = found[rank].ended ? FinishReason::kStop : FinishReason::kLength;
      end.beam_score = found[rank].score;
    } else {
      end.error = OutOfRange("the beam search found no more than " + std::to_string(found.size()) +
                             " answers; bias, or a small vocabulary, leaves no other");
    }
    end.completion_tokens = static_cast<int64_t>(event.tokens.size());
    totals_.completion_tokens += end.completion_tokens;
    event.end = EndOfBeam(sequence, std::move(end), rank, now);
    Emit(sequence.request.sink, std::move(event));
    Flush();
  }
}

void Scheduler::CancelBeam(const Sequence& sequence, uint64_t id) {
  const auto& ids = sequence.beams->ids();
  const size_t rank = std::ranges::find(ids, std::optional<uint64_t>(id)) - ids.begin();
  SequenceEnd end = EndOfBeam(sequence, {.reason = FinishReason::kCancelled}, rank, Clock::now());
  Emit(sequence.request.sink, {.sequence_id = id, .end = std::move(end)});
  if (!sequence.beams->Drop(id)) EndBeams(sequence);
}

void Scheduler::FailBeams(const Sequence& sequence, const Status& error, Clock::time_point now) {
  if (HasEnded(sequence)) return;
  const auto& ids = sequence.beams->ids();
  for (size_t rank = 0; rank < ids.size(); ++rank) {
    if (!ids[rank].has_value()) continue;
    Emit(sequence.request.sink,
         {.sequence_id = *ids[rank], .end = EndOfBeam(sequence, {.error = error}, rank, now)});
  }
  EndBeams(sequence);
}

void Scheduler::EndBeams(const Sequence& sequence) {
  for (const Sequence* place : PlacesOf(*sequence.beams)) ended_.push_back(place);
}

/// In the order in which they joined.
std::vector<Sequence*> Scheduler::PlacesOf(const BeamGroup& beams) const {
  std::vector<Sequence*> places;
  for (const auto& sequence : running_) {
    if (sequence->beams.get() == &beams) places.push_back(sequence.get());
  }
  return places;
}

SequenceEnd Scheduler::EndOfBeam(const Sequence& sequence, SequenceEnd end, size_t rank,
                                 Clock::time_point now) const {
  const BeamGroup& beams = *sequence.beams;
  end.prompt_tokens = sequence.request.prompt_tokens();
  end.cached_prompt_tokens = rank == 0 ? PlacesOf(beams).front()->cached_prompt_tokens : end.prompt_tokens;
  end.seed = sequence.request.sampling.seed;
  if (beams.started()) {
    end.prompt_us = MicrosBetween(sequence.started, beams.first_token());
    end.decode_us = MicrosBetween(beams.first_token(), now);
  }
  return end;
}

bool Scheduler::HasEnded(const Sequence& sequence) const {
  return std::ranges::find(ended_, &sequence) != ended_.end();
}

void Scheduler::Fail(const Status& error) {
  const auto now = Clock::now();
  const std::set<const Sequence*> failed(planned_sequences_.begin(), planned_sequences_.end());
  for (const auto& sequence : running_) {
    const bool fails = failed.contains(sequence.get()) || failed.contains(sequence->prompt_from);
    if (!fails) continue;
    if (sequence->beams != nullptr) {
      FailBeams(*sequence, error, now);
    } else {
      Finish(*sequence, {.error = error}, now);
    }
  }
  RemoveEnded();
  Flush();
}

void Scheduler::Finish(Sequence& sequence, SequenceEnd end, Clock::time_point now) {
  end.prompt_tokens = sequence.request.prompt_tokens();
  end.completion_tokens = sequence.completion_tokens();
  end.cached_prompt_tokens = sequence.cached_prompt_tokens;
  end.seed = sequence.request.sampling.seed;
  if (!sequence.InPrompt()) {
    end.prompt_us = MicrosBetween(sequence.started, sequence.first_token);
    end.decode_us = MicrosBetween(sequence.first_token, now);
  }
  if (end.error.ok()) {
    prefixes_.Keep(sequence);
    HandOverPrompt(sequence);
  }
  Emit(sequence.request.sink, {.sequence_id = sequence.request.id, .end = std::move(end)});
  ended_.push_back(&sequence);
}

/// Joins what a step made for one sequence into one event, and all events of one stream into one delivery.
void Scheduler::Emit(const std::shared_ptr<EventSink>& sink, SequenceEvent event) {
  auto box =
      std::find_if(outbox_.begin(), outbox_.end(), [&](const auto& entry) { return entry.first == sink; });
  if (box == outbox_.end()) box = outbox_.insert(outbox_.end(), {sink, {}});
  std::vector<SequenceEvent>& events = box->second;
  if (event.end.has_value() && !events.empty() && events.back().sequence_id == event.sequence_id) {
    events.back().end = std::move(event.end);
  } else {
    events.push_back(std::move(event));
  }
}

void Scheduler::Flush() {
  for (auto& [sink, events] : outbox_) sink->Deliver(std::move(events));
  outbox_.clear();
}

void Scheduler::RemoveEnded() {
  if (ended_.empty()) return;
  no_room_for_.reset();
  running_.remove_if([&](const std::unique_ptr<Sequence>& sequence) {
    return std::find(ended_.begin(), ended_.end(), sequence.get()) != ended_.end();
  });
  ended_.clear();
}

}  // namespace conclave::decoder
