#include "services/router/request_actor.h"

#include <algorithm>
#include <random>
#include <utility>

#include "platform/identity.h"
#include "platform/log/log.h"
#include "services/router/limits.h"

namespace conclave::router {
namespace {

double MillisSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double PerSecond(double count, double micros) { return micros > 0.0 ? count / micros * 1e6 : 0.0; }

uint64_t RandomSeed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

/// What the decoder says of a sequence that it could not carry on with.
Status ErrorOf(const v1::SequenceEnd& end) {
  return Status(static_cast<StatusCode>(end.error_code()), end.error_message())
      .WithRetryAfterMs(end.retry_after_ms());
}

}  // namespace

RequestActor::RequestActor(caf::actor_config& config, std::shared_ptr<Backends> backends,
                           std::shared_ptr<AnswerSink> sink, platform::CallContext call, RequestPlan plan)
    : caf::event_based_actor(config),
      backends_(std::move(backends)),
      sink_(std::move(sink)),
      call_(std::move(call)),
      plan_(std::move(plan)),
      started_(Clock::now()),
      response_id_(platform::RandomId()),
      answer_(plan_.sampling) {
  // Chosen here, so that it is known however the answer ends.
  if (!plan_.sampling.has_seed()) plan_.sampling.set_seed(RandomSeed());
}

template <typename Message, typename T>
std::function<void(T)> RequestActor::Send() {
  return [self = caf::actor_cast<caf::actor>(this)](T value) {
    caf::anon_send(self, Message{std::move(value)});
  };
}

caf::behavior RequestActor::make_behavior() {
  backends_->GetModel(call_, Send<ModelKnown, Result<ModelInfo>>());
  return {
      [this](const ModelKnown& message) { OnModel(message); },
      [this](const SessionLoaded& message) { OnSession(message); },
      [this](const PassagesFound& message) { OnPassages(message); },
      [this](const PromptReady& message) { OnPrompt(message); },
      [this](const TurnGranted& message) { OnTurn(message); },
      [this](const TokensMade& message) { OnTokens(message); },
      [this](const TextMade& message) { OnText(message); },
      [this](const SessionSaved& message) {
        if (!message.status.ok()) return Fail(message.status.Annotate("the session could not be stored"));
        RecordAnswer();
      },
      [this](const AnswerRecorded& message) { OnRecorded(message); },
      [this](const ClientGone&) { quit(); },
  };
}

void RequestActor::on_exit() {
  if (text_open_) backends_->EndText(text_id_, true);
  StopDecoding();
  if (ticket_.has_value()) {
    backends_->Release(*ticket_, static_cast<int64_t>(prompt_.size() + answer_.token_ids().size()));
  }
  // A service may keep a callback, which holds this actor, for as long as it lives itself.
  backends_.reset();
  sink_.reset();
}

void RequestActor::Fail(const Status& status) {
  sink_->Fail(status);
  quit();
}

void RequestActor::OnModel(const ModelKnown& message) {
  if (!message.model.ok()) return Fail(message.model.status());
  model_ = *message.model;
  if (!plan_.model.empty() && plan_.model != model_.identity.name()) {
    return Fail(
        NotFound("model '" + plan_.model + "' is not served here; '" + model_.identity.name() + "' is"));
  }
  // The answer will be bound to what it was sampled with, defaults included.
  v1::SamplingParams sampling = model_.default_sampling;
  sampling.MergeFrom(plan_.sampling);
  plan_.sampling = std::move(sampling);
  messages_ = plan_.messages;
  if (!plan_.session_id.empty()) {
    backends_->LoadSession(call_, plan_.session_id, Send<SessionLoaded, Result<Session>>());
    return;
  }
  FindPassages();
}

void RequestActor::OnSession(const SessionLoaded& message) {
  if (message.session.ok()) {
    const auto& earlier = message.session->messages;
    messages_.insert(messages_.begin(), earlier.begin(), earlier.end());
  } else if (message.session.status().code() != StatusCode::kNotFound) {
    return Fail(message.session.status());
  }
  FindPassages();
}

void RequestActor::FindPassages() {
  if (plan_.collection.empty()) return MakePrompt();
  v1::SearchRequest request;
  request.set_collection(plan_.collection);
  request.set_query(SearchQuery(messages_));
  request.set_top_n(plan_.top_n);
  request.set_tenant(call_.tenant);
  backends_->Search(call_, std::move(request), Send<PassagesFound, Result<v1::SearchResponse>>());
}

void RequestActor::OnPassages(const PassagesFound& message) {
  if (!message.found.ok()) return Fail(message.found.status());
  messages_ = WithPassages(std::move(messages_), *message.found);
  for (const v1::SearchResult& result : message.found->results()) {
    v1::Passage& passage = passages_.emplace_back();
    passage.set_source(result.source());
    passage.set_text(result.text());
    passage.set_score(result.score());
  }
  MakePrompt();
}

void RequestActor::MakePrompt() {
  auto deliver = Send<PromptReady, Result<std::vector<int32_t>>>();
  auto take_tokens = [deliver](const auto& response) {
    if (!response.ok()) return deliver(response.status());
    deliver(std::vector<int32_t>(response->token_ids().begin(), response->token_ids().end()));
  };
  if (plan_.is_chat) {
    v1::RenderChatRequest request;
    for (const auto& message : messages_) *request.add_messages() = message;
    request.set_add_generation_prompt(true);
    backends_->RenderChat(call_, std::move(request), take_tokens);
  } else if (!plan_.prompt_token_ids.empty()) {
    deliver(plan_.prompt_token_ids);
  } else {
    v1::EncodeRequest request;
    request.set_text(plan_.prompt);
    request.set_add_special(true);
    request.set_parse_special(plan_.parse_special);
    backends_->Encode(call_, std::move(request), take_tokens);
  }
}

void RequestActor::OnPrompt(const PromptReady& message) {
  if (!message.token_ids.ok()) return Fail(message.token_ids.status());
  prompt_ = *message.token_ids;
  if (prompt_.empty()) return Fail(InvalidArgument("the prompt has no token"));
  if (prompt_.size() >= model_.context_length) {
    return Fail(OutOfRange("the prompt has " + std::to_string(prompt_.size()) +
                           " tokens; the model's context of " + std::to_string(model_.context_length) +
                           " leaves no room for an answer"));
  }
  const int64_t wanted = plan_.sampling.max_tokens();
  const auto prompt_tokens = static_cast<int64_t>(prompt_.size());
  ticket_ =
      Ticket{.id = id(),
             .tenant = call_.tenant,
             .tokens = prompt_tokens + std::min<int64_t>(wanted, model_.context_length - prompt_tokens)};
  backends_->Acquire(*ticket_, Send<TurnGranted, Status>());
}

void RequestActor::OnTurn(const TurnGranted& message) {
  if (!message.status.ok()) {
    ticket_.reset();
    return Fail(message.status);
  }
  turn_ms_ = MillisSince(started_);
  v1::AnswerStarted started;
  started.set_response_id(response_id_);
  *started.mutable_model() = model_.identity;
  started.set_prompt_tokens(static_cast<uint32_t>(prompt_.size()));
  for (const v1::Passage& passage : passages_) *started.add_passages() = passage;
  started.mutable_prompt_token_ids()->Add(prompt_.begin(), prompt_.end());
  sink_->Started(std::move(started));

  v1::AdmitSequence sequence;
  sequence.mutable_prompt_token_ids()->Add(prompt_.begin(), prompt_.end());
  *sequence.mutable_sampling() = plan_.sampling;
  // What is rated later is bound to the probabilities it was chosen with, whether the client asked for them
  // or not.
  if (!plan_.sampling.has_logprobs()) sequence.mutable_sampling()->set_logprobs(0);
  sequence.mutable_end_token_ids()->Add(model_.end_token_ids.begin(), model_.end_token_ids.end());
  sequence.set_request_id(call_.request_id);
  sequence.set_tenant(call_.tenant);
  text_id_ = backends_->BeginText(Send<TextMade, Result<v1::DecodeResponse>>());
  text_open_ = true;
  decoding_ = true;
  sequence_id_ = backends_->StartSequence(std::move(sequence), Send<TokensMade, Result<v1::SequenceEvent>>());
}

void RequestActor::OnTokens(const TokensMade& message) {
  if (!message.event.ok()) {
    decoding_ = false;
    return Fail(message.event.status());
  }
  if (answer_.stopped()) return;
  const v1::SequenceEvent& event = *message.event;
  if (!first_token_ms_.has_value()) first_token_ms_ = MillisSince(started_);
  if (event.has_end()) {
    decoding_ = false;
    backends_->EndSequence(sequence_id_, false);
    end_ = event.end();
    if (end_.error_code() != 0) return Fail(ErrorOf(end_));
  }
  unpushed_.push_back(event);
  PushTokens();
}

/// Part by part and never several as one: where a stop text ends the answer must not depend on who was slow.
void RequestActor::PushTokens() {
  while (!unpushed_.empty() && answer_.expected() < kMostPartsInFlight) {
    const v1::SequenceEvent event = std::move(unpushed_.front());
    unpushed_.pop_front();
    answer_.Expect(event);
    std::vector<int32_t> tokens(event.token_ids().begin(), event.token_ids().end());
    const bool ended_itself = event.has_end() && end_.finish_reason() == v1::FINISH_REASON_STOP;
    if (ended_itself && !tokens.empty()) tokens.pop_back();  // The end token is not part of the text.
    backends_->PushText(text_id_, tokens, event.has_end());
  }
}

void RequestActor::OnText(const TextMade& message) {
  if (!text_open_) return;
  if (!message.part.ok()) {
    text_open_ = false;
    return Fail(message.part.status());
  }
  v1::AnswerDelta delta = answer_.Take(message.part->text(), message.part->last());
  if (!delta.text().empty() || delta.token_ids_size() > 0) sink_->Delta(std::move(delta));
  if (!message.part->last() && !answer_.stopped()) return PushTokens();
  text_open_ = false;
  backends_->EndText(text_id_, !message.part->last());
  if (answer_.stopped()) EndAtStopText();
  SaveSession();
}

void RequestActor::StopDecoding() {
  if (!std::exchange(decoding_, false)) return;
  backends_->EndSequence(sequence_id_, true);
}

/// The decoder goes on until it hears of it, so the answer's length and times are what was seen here.
void RequestActor::EndAtStopText() {
  StopDecoding();
  end_.set_finish_reason(v1::FINISH_REASON_STOP);
  const auto completion = static_cast<uint32_t>(answer_.token_ids().size());
  end_.mutable_usage()->set_completion_tokens(completion);
  end_.set_prompt_us(static_cast<uint64_t>((*first_token_ms_ - turn_ms_) * 1000.0));
  end_.set_decode_us(static_cast<uint64_t>((MillisSince(started_) - *first_token_ms_) * 1000.0));
}

void RequestActor::SaveSession() {
  if (plan_.session_id.empty()) return RecordAnswer();
  std::vector<v1::ChatMessage> turn = plan_.messages;
  turn.emplace_back().set_role(v1::ROLE_ASSISTANT);
  turn.back().set_content(answer_.text());
  backends_->AppendToSession(call_, plan_.session_id, std::move(turn), Send<SessionSaved, Status>());
}

void RequestActor::RecordAnswer() {
  v1::RecordRequest record;
  record.set_response_id(response_id_);
  *record.mutable_model() = model_.identity;
  for (const auto& message : messages_) *record.add_messages() = message;
  if (!plan_.is_chat) record.set_prompt(plan_.prompt);
  record.mutable_prompt_token_ids()->Add(prompt_.begin(), prompt_.end());
  record.mutable_token_ids()->Add(answer_.token_ids().begin(), answer_.token_ids().end());
  record.set_text(answer_.text());
  *record.mutable_sampling() = plan_.sampling;
  record.set_seed(plan_.sampling.seed());
  record.mutable_sampling_logprobs()->Add(answer_.logprobs().begin(), answer_.logprobs().end());
  record.set_finish_reason(end_.finish_reason());
  record.set_tenant(call_.tenant);
  record.set_session_id(plan_.session_id);
  for (const v1::Passage& passage : passages_) record.add_sources(passage.source());
  record.set_created_ms(platform::NowMs());
  backends_->Record(call_, std::move(record), Send<AnswerRecorded, Result<v1::RecordResponse>>());
}

void RequestActor::OnRecorded(const AnswerRecorded& message) {
  v1::AnswerFinished finished;
  if (message.record.ok()) {
    finished.set_vote_token(message.record->vote_token());
  } else if (message.record.status().code() != StatusCode::kFailedPrecondition) {
    // (An installation without a feedback service is not worth a word an answer.)
    platform::LogWarning("router", "an answer could not be recorded, and cannot be rated",
                         {{"request_id", call_.request_id}, {"error", message.record.status().ToString()}});
  }
  finished.set_finish_reason(end_.finish_reason());
  *finished.mutable_usage() = end_.usage();
  finished.mutable_usage()->set_prompt_tokens(static_cast<uint32_t>(prompt_.size()));
  finished.mutable_usage()->set_completion_tokens(static_cast<uint32_t>(answer_.token_ids().size()));
  finished.set_seed(plan_.sampling.seed());
  finished.set_time_to_first_token_ms(first_token_ms_.value_or(0.0));
  finished.set_prompt_tokens_per_s(PerSecond(
      static_cast<double>(prompt_.size()) - static_cast<double>(end_.usage().cached_prompt_tokens()),
      static_cast<double>(end_.prompt_us())));
  finished.set_tokens_per_s(PerSecond(static_cast<double>(end_.usage().completion_tokens()) - 1.0,
                                      static_cast<double>(end_.decode_us())));
  sink_->Finished(std::move(finished));
  quit();
}

}  // namespace conclave::router
