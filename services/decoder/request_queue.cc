#include "services/decoder/request_queue.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "services/decoder/prefix_sharing.h"

namespace conclave::decoder {

Status RequestQueue::Check(SequenceRequest& request) const {
  if (request.prompt.empty()) return InvalidArgument("the prompt is empty; give at least one token");
  const int64_t prompt = request.prompt_tokens();
  if (prompt >= context_) {
    return OutOfRange("the prompt has " + std::to_string(prompt) + " tokens; the model's context of " +
                      std::to_string(context_) + " leaves no room for an answer");
  }
  for (const int32_t token : request.prompt) {
    if (token < 0 || token >= vocabulary_) {
      return InvalidArgument("the prompt's token id " + std::to_string(token) +
                             " is outside the vocabulary of " + std::to_string(vocabulary_));
    }
  }
  if (static_cast<int64_t>(request.end_tokens.size()) > kMostEndTokens) {
    return InvalidArgument("more than " + std::to_string(kMostEndTokens) + " end tokens");
  }
  if (request.max_tokens == 0) request.max_tokens = kDefaultMaxTokens;
  request.max_tokens = std::min(request.max_tokens, context_ - prompt);
  CONCLAVE_RETURN_IF_ERROR(engine::Validate(request.sampling, vocabulary_));
  CONCLAVE_RETURN_IF_ERROR(engine::Validate(request.beams));
  return CheckAnswers(request);
}

/// Whether its answers fit in beside nobody.
Status RequestQueue::CheckAnswers(const SequenceRequest& request) const {
  if (request.answers() > kMostAnswers) {
    return InvalidArgument("a request for " + std::to_string(request.answers()) + " answers; at most " +
                           std::to_string(kMostAnswers) + " are allowed");
  }
  if (request.beams.beams > 0 && request.answers() > request.beams.beams) {
    return InvalidArgument(std::to_string(request.answers()) + " answers of " +
                           std::to_string(request.beams.beams) +
                           " beams; a search gives at most as many answers as it has beams");
  }
  const std::string several =
      std::to_string(request.width()) + (request.beams.beams > 0 ? " beams" : " answers");
  if (request.width() > 1 && request.width() > limits_.running_sequences) {
    return OutOfRange(several + " to one prompt never run beside one another among " +
                      std::to_string(limits_.running_sequences) +
                      " sequences; ask for fewer or raise limits.running_sequences");
  }
  if (BlocksFor(request) > total_blocks_) {
    const std::string answers = request.width() == 1 ? "an answer of up to " : several + ", each of up to ";
    return OutOfRange("a prompt of " + std::to_string(request.prompt_tokens()) + " tokens with " + answers +
                      std::to_string(request.max_tokens) + " never fits into the key-value cache of " +
                      std::to_string(total_blocks_ * engine::kKvBlockTokens) +
                      " tokens; ask for fewer tokens or raise limits.kv_bytes");
  }
  return Status::Ok();
}

/// Whether its answers have ids that nothing else of the stream has.
Status RequestQueue::CheckIds(const SequenceRequest& request, const IsRunning& is_running) const {
  std::vector<uint64_t> ids = {request.id};
  for (const FurtherAnswer& answer : request.further) ids.push_back(answer.id);
  for (auto id = ids.begin(); id != ids.end(); ++id) {
    auto has = [&](const SequenceRequest& other) { return other.Has(request.sink.get(), *id); };
    const bool taken = std::find(ids.begin(), id, *id) != id ||
                       std::any_of(queue_.begin(), queue_.end(), has) || is_running(request.sink.get(), *id);
    if (taken) return AlreadyExists("the stream already has a sequence " + std::to_string(*id));
  }
  return Status::Ok();
}

void RequestQueue::Count(const SequenceRequest& request, int64_t sign) {
  sequences_ += sign * request.width();
  tokens_ += sign * request.tokens();
}

Status RequestQueue::Add(SequenceRequest request, const IsRunning& is_running) {
  CONCLAVE_RETURN_IF_ERROR(Check(request));
  CONCLAVE_RETURN_IF_ERROR(CheckIds(request, is_running));
  // One request alone may be larger than the whole queue: it then waits alone.
  const bool full = sequences_ >= limits_.queued_sequences ||
                    (!queue_.empty() && (sequences_ + request.width() > limits_.queued_sequences ||
                                         tokens_ + request.tokens() > limits_.queued_tokens));
  if (full) {
    return ResourceExhausted("the decoder's queue is full: " + std::to_string(sequences_) + " sequences, " +
                             std::to_string(tokens_) + " tokens; try again later")
        .WithRetryAfterMs(kRetryAfterMs);
  }
  Count(request, 1);
  queue_.push_back(std::move(request));
  return Status::Ok();
}

std::optional<RequestQueue::Cancelled> RequestQueue::Cancel(const EventSink* sink, uint64_t id) {
  const auto found =
      std::ranges::find_if(queue_, [&](const SequenceRequest& request) { return request.Has(sink, id); });
  if (found == queue_.end()) return std::nullopt;
  uint64_t seed = found->sampling.seed;
  for (const FurtherAnswer& answer : found->further) {
    if (answer.id == id) seed = answer.seed;
  }
  Cancelled cancelled(found->sink, {.sequence_id = id,
                                    .end = SequenceEnd{.reason = FinishReason::kCancelled,
                                                       .prompt_tokens = found->prompt_tokens(),
                                                       .seed = seed}});
  Count(*found, -1);
  if (found->answers() == 1) {
    queue_.erase(found);
  } else {
    found->Drop(id);
    Count(*found, 1);
  }
  return cancelled;
}

void RequestQueue::CancelAll(const EventSink* sink) {
  std::erase_if(queue_, [&](const SequenceRequest& request) {
    if (request.sink.get() != sink) return false;
    Count(request, -1);
    return true;
  });
}

SequenceRequest RequestQueue::Take(Iterator& next) {
  Count(*next, -1);
  SequenceRequest request = std::move(*next);
  next = queue_.erase(next);
  return request;
}

void RequestQueue::AddStreams(std::set<std::shared_ptr<EventSink>>& streams) const {
  for (const SequenceRequest& request : queue_) streams.insert(request.sink);
}

}  // namespace conclave::decoder
