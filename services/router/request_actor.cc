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
      started_(Clock::now()) {
  if (!plan_.sampling.has_seed()) plan_.sampling.set_seed(RandomSeed());
}

template <typename Message, typename T>
std::function<void(T)> RequestActor::Send() {
  return [self = caf::actor_cast<caf::actor>(this)](T value) {
    caf::anon_send(self, Message{std::move(value)});
  };
}

template <typename Message, typename T>
std::function<void(T)> RequestActor::SendOf(size_t answer) {
  return [self = caf::actor_cast<caf::actor>(this), answer](T value) {
    caf::anon_send(self, Message{answer, std::move(value)});
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
      [this](const SessionSaved& message) {
        if (!message.status.ok()) return Fail(message.status.Annotate("the session could not be stored"));
        RecordAnswer(0);
      },
      [this](const AnswerRecorded& message) { OnRecorded(message); },
      [this](const ClientGone&) { quit(); },
  };
}

void RequestActor::on_exit() {
  for (AnswerProgress& answer : answers_) StopDecoding(answer);
  if (ticket_.has_value()) backends_->Release(*ticket_, UsedTokens());
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
  if (plan_.sampling.has_beam_search()) {  // Which draws nothing.
    sampling.clear_temperature();
    sampling.clear_top_k();
    sampling.clear_top_p();
    sampling.clear_min_p();
  }
  sampling.MergeFrom(plan_.sampling);
  plan_.sampling = std::move(sampling);
  PlanAnswers();
  messages_ = plan_.messages;
  if (!plan_.session_id.empty()) {
    backends_->LoadSession(call_, plan_.session_id, Send<SessionLoaded, Result<Session>>());
    return;
  }
  FindPassages();
}

void RequestActor::PlanAnswers() {
  for (size_t i = 0; i < plan_.answers; ++i) {
    AnswerProgress& answer = answers_.emplace_back(model_.tokens, plan_.sampling);
    answer.response_id = platform::RandomId();
    answer.seed = plan_.sampling.seed() + i;
  }
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
  ticket_ = Ticket{.id = id(),
                   .tenant = call_.tenant,
                   .tokens = MostTokens(),
                   .answers = static_cast<int64_t>(plan_.width())};
  backends_->Acquire(*ticket_, Send<TurnGranted, Status>());
}

/// A beam search has computed its longest answer for every beam, at least.
int64_t RequestActor::UsedTokens() const {
  size_t all = 0;
  size_t longest = 0;
  for (const AnswerProgress& answer : answers_) {
    all += answer.text.token_ids().size();
    longest = std::max(longest, answer.text.token_ids().size());
  }
  if (plan_.sampling.has_beam_search()) all = longest * plan_.width();
  return static_cast<int64_t>(prompt_.size() + all);
}

/// The prompt and the longest answers, or beams.
int64_t RequestActor::MostTokens() const {
  const auto prompt = static_cast<int64_t>(prompt_.size());
  const int64_t longest =
      std::min<int64_t>(plan_.sampling.max_tokens(), static_cast<int64_t>(model_.context_length) - prompt);
  return prompt + static_cast<int64_t>(plan_.width()) * longest;
}

void RequestActor::OnTurn(const TurnGranted& message) {
  if (!message.status.ok()) {
    ticket_.reset();
    return Fail(message.status);
  }
  turn_ms_ = MillisSince(started_);
  for (size_t i = 0; i < answers_.size(); ++i) TellStarted(i);
  StartDecoding();
}

void RequestActor::TellStarted(size_t answer) {
  v1::AnswerStarted started;
  started.set_answer(static_cast<uint32_t>(answer));
  started.set_response_id(answers_[answer].response_id);
  *started.mutable_model() = model_.identity;
  started.set_prompt_tokens(static_cast<uint32_t>(prompt_.size()));
  if (answer == 0) {
    for (const v1::Passage& passage : passages_) *started.add_passages() = passage;
    started.mutable_prompt_token_ids()->Add(prompt_.begin(), prompt_.end());
  }
  sink_->Started(std::move(started));
}

void RequestActor::StartDecoding() {
  v1::AdmitSequence sequence;
  sequence.mutable_prompt_token_ids()->Add(prompt_.begin(), prompt_.end());
  *sequence.mutable_sampling() = plan_.sampling;
  // What is rated later is bound to the probabilities it was chosen with, whether the client asked for them
  // or not.
  if (!plan_.sampling.has_logprobs()) sequence.mutable_sampling()->set_logprobs(0);
  sequence.mutable_end_token_ids()->Add(model_.end_token_ids.begin(), model_.end_token_ids.end());
  sequence.set_request_id(call_.request_id);
  sequence.set_tenant(call_.tenant);
  std::vector<Backends::Callback<Result<v1::SequenceEvent>>> events;
  for (size_t i = 0; i < answers_.size(); ++i) {
    AnswerProgress& answer = answers_[i];
    if (i > 0) sequence.add_further_answers()->set_seed(answer.seed);
    answer.decoding = true;
    events.push_back(SendOf<TokensMade, Result<v1::SequenceEvent>>(i));
  }
  const std::vector<uint64_t> ids = backends_->StartSequences(std::move(sequence), std::move(events));
  for (size_t i = 0; i < answers_.size(); ++i) answers_[i].sequence_id = ids[i];
}

void RequestActor::OnTokens(const TokensMade& message) {
  AnswerProgress& answer = answers_[message.answer];
  if (!answer.decoding) return;
  if (!message.event.ok()) {
    answer.decoding = false;
    return FailAnswer(message.answer, message.event.status());
  }
  const v1::SequenceEvent& event = *message.event;
  if (!answer.first_token_ms.has_value()) answer.first_token_ms = MillisSince(started_);
  if (event.has_end()) {
    answer.decoding = false;
    backends_->EndSequence(answer.sequence_id, false);
    answer.end = event.end();
    if (answer.end.error_code() != 0) return FailAnswer(message.answer, ErrorOf(answer.end));
  }
  Result<v1::AnswerDelta> delta = answer.text.Take(event);
  if (!delta.ok()) return FailAnswer(message.answer, delta.status());
  delta->set_answer(static_cast<uint32_t>(message.answer));
  if (!delta->text().empty() || delta->token_ids_size() > 0) sink_->Delta(*std::move(delta));
  if (answer.text.stopped()) {
    EndAtStopText(answer);
  } else if (!event.has_end()) {
    return;
  }
  SaveSession(message.answer);
}

void RequestActor::StopDecoding(AnswerProgress& answer) {
  if (!std::exchange(answer.decoding, false)) return;
  backends_->EndSequence(answer.sequence_id, true);
}

/// The decoder goes on until it hears of it, so the answer's length and times are what was seen here.
void RequestActor::EndAtStopText(AnswerProgress& answer) {
  StopDecoding(answer);
  answer.end.set_finish_reason(v1::FINISH_REASON_STOP);
  const auto completion = static_cast<uint32_t>(answer.text.token_ids().size());
  answer.end.mutable_usage()->set_completion_tokens(completion);
  answer.end.set_prompt_us(static_cast<uint64_t>((*answer.first_token_ms - turn_ms_) * 1000.0));
  answer.end.set_decode_us(static_cast<uint64_t>((MillisSince(started_) - *answer.first_token_ms) * 1000.0));
}

/// With a session there is one answer (RequestPlan).
void RequestActor::SaveSession(size_t answer) {
  if (plan_.session_id.empty()) return RecordAnswer(answer);
  std::vector<v1::ChatMessage> turn = plan_.messages;
  turn.emplace_back().set_role(v1::ROLE_ASSISTANT);
  turn.back().set_content(answers_[answer].text.text());
  backends_->AppendToSession(call_, plan_.session_id, std::move(turn), Send<SessionSaved, Status>());
}

void RequestActor::RecordAnswer(size_t answer) {
  const AnswerProgress& made = answers_[answer];
  v1::RecordRequest record;
  record.set_response_id(made.response_id);
  *record.mutable_model() = model_.identity;
  for (const auto& message : messages_) *record.add_messages() = message;
  if (!plan_.is_chat) record.set_prompt(plan_.prompt);
  record.mutable_prompt_token_ids()->Add(prompt_.begin(), prompt_.end());
  record.mutable_token_ids()->Add(made.text.token_ids().begin(), made.text.token_ids().end());
  record.set_text(made.text.text());
  *record.mutable_sampling() = plan_.sampling;
  record.mutable_sampling()->set_seed(made.seed);
  record.set_seed(made.seed);
  record.mutable_sampling_logprobs()->Add(made.text.logprobs().begin(), made.text.logprobs().end());
  record.set_finish_reason(made.end.finish_reason());
  record.set_tenant(call_.tenant);
  record.set_session_id(plan_.session_id);
  for (const v1::Passage& passage : passages_) record.add_sources(passage.source());
  record.set_created_ms(platform::NowMs());
  backends_->Record(call_, std::move(record), SendOf<AnswerRecorded, Result<v1::RecordResponse>>(answer));
}

void RequestActor::OnRecorded(const AnswerRecorded& message) {
  if (answers_[message.answer].over) return;
  v1::AnswerFinished finished = FinishedOf(answers_[message.answer]);
  finished.set_answer(static_cast<uint32_t>(message.answer));
  if (message.record.ok()) {
    finished.set_vote_token(message.record->vote_token());
  } else if (message.record.status().code() != StatusCode::kFailedPrecondition) {
    // (An installation without a feedback service is not worth a word an answer.)
    platform::LogWarning("router", "an answer could not be recorded, and cannot be rated",
                         {{"request_id", call_.request_id}, {"error", message.record.status().ToString()}});
  }
  sink_->Finished(std::move(finished));
  EndAnswer(message.answer);
}

v1::AnswerFinished RequestActor::FinishedOf(const AnswerProgress& answer) const {
  const v1::SequenceEnd& end = answer.end;
  v1::AnswerFinished finished;
  finished.set_finish_reason(end.finish_reason());
  *finished.mutable_usage() = end.usage();
  finished.mutable_usage()->set_prompt_tokens(static_cast<uint32_t>(prompt_.size()));
  finished.mutable_usage()->set_completion_tokens(static_cast<uint32_t>(answer.text.token_ids().size()));
  finished.set_seed(answer.seed);
  if (end.has_beam_score()) finished.set_beam_score(end.beam_score());
  finished.set_time_to_first_token_ms(answer.first_token_ms.value_or(0.0));
  finished.set_prompt_tokens_per_s(
      PerSecond(static_cast<double>(prompt_.size()) - static_cast<double>(end.usage().cached_prompt_tokens()),
                static_cast<double>(end.prompt_us())));
  finished.set_tokens_per_s(PerSecond(static_cast<double>(end.usage().completion_tokens()) - 1.0,
                                      static_cast<double>(end.decode_us())));
  return finished;
}

void RequestActor::FailAnswer(size_t answer, const Status& status) {
  if (answers_.size() == 1) return Fail(status);
  StopDecoding(answers_[answer]);
  if (failures_++ == 0) first_failure_ = status;
  v1::AnswerFailed failed;
  failed.set_answer(static_cast<uint32_t>(answer));
  failed.set_error_code(static_cast<int32_t>(status.code()));
  failed.set_error_message(status.message());
  sink_->Failed(std::move(failed));
  EndAnswer(answer);
}

void RequestActor::EndAnswer(size_t answer) {
  answers_[answer].over = true;
  const bool all = std::ranges::all_of(answers_, [](const AnswerProgress& other) { return other.over; });
  if (!all) return;
  if (failures_ == answers_.size()) return Fail(first_failure_);
  sink_->End();
  quit();
}

}  // namespace conclave::router
