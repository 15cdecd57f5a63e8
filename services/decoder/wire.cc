#include "services/decoder/wire.h"

#include <random>

#include "services/decoder/limits.h"

namespace conclave::decoder {
namespace {

uint64_t RandomSeed() {
  thread_local std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

v1::FinishReason ToWire(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return v1::FINISH_REASON_STOP;
    case FinishReason::kLength: return v1::FINISH_REASON_LENGTH;
    case FinishReason::kCancelled: return v1::FINISH_REASON_CANCELLED;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

void FillEnd(const SequenceEnd& end, v1::SequenceEnd& wire) {
  if (end.error.ok()) {
    wire.set_finish_reason(ToWire(end.reason));
  } else {
    wire.set_error_code(static_cast<int32_t>(end.error.code()));
    wire.set_error_message(end.error.message());
    wire.set_retry_after_ms(end.error.retry_after_ms());
  }
  wire.mutable_usage()->set_prompt_tokens(static_cast<uint32_t>(end.prompt_tokens));
  wire.mutable_usage()->set_cached_prompt_tokens(static_cast<uint32_t>(end.cached_prompt_tokens));
  wire.mutable_usage()->set_completion_tokens(static_cast<uint32_t>(end.completion_tokens));
  wire.set_seed(end.seed);
  wire.set_prompt_us(static_cast<uint64_t>(end.prompt_us));
  wire.set_decode_us(static_cast<uint64_t>(end.decode_us));
  if (end.beam_score.has_value()) wire.set_beam_score(*end.beam_score);
}

void FillLogprobs(const engine::SampledToken& token, v1::PositionLogprobs& wire) {
  wire.mutable_chosen()->set_token_id(token.token_id);
  wire.mutable_chosen()->set_logprob(token.logprob);
  for (const engine::TokenLogprob& entry : token.top) {
    v1::TokenLogprob& top = *wire.add_top();
    top.set_token_id(entry.token_id);
    top.set_logprob(entry.logprob);
  }
}

}  // namespace

Result<engine::SamplingParams> FromWire(const v1::SamplingParams& wire, const v1::SamplingParams& defaults) {
  engine::SamplingParams params;
  for (const v1::SamplingParams* from : {&defaults, &wire}) {
    if (from->has_temperature()) params.temperature = from->temperature();
    if (from->has_top_k()) params.top_k = from->top_k();
    if (from->has_top_p()) params.top_p = from->top_p();
    if (from->has_min_p()) params.min_p = from->min_p();
    if (from->has_repetition_penalty()) params.repetition_penalty = from->repetition_penalty();
    if (from->has_frequency_penalty()) params.frequency_penalty = from->frequency_penalty();
    if (from->has_presence_penalty()) params.presence_penalty = from->presence_penalty();
  }
  if (wire.logit_bias_size() > static_cast<int>(engine::kMostLogitBiases)) {
    return InvalidArgument("logit_bias has " + std::to_string(wire.logit_bias_size()) + " entries; at most " +
                           std::to_string(engine::kMostLogitBiases) + " are allowed");
  }
  for (const auto& [token, bias] : wire.logit_bias()) params.logit_bias.emplace(token, bias);
  params.seed = wire.has_seed() ? wire.seed() : RandomSeed();
  if (wire.has_logprobs()) params.logprobs = wire.logprobs();
  return params;
}

Result<engine::BeamParams> BeamsFromWire(const v1::SamplingParams& wire) {
  engine::BeamParams params;
  if (!wire.has_beam_search()) return params;
  const v1::BeamSearch& search = wire.beam_search();
  if (search.beams() == 0) return InvalidArgument("beam_search.beams is 0; ask for at least one beam");
  if (wire.has_temperature() || wire.has_top_k() || wire.has_top_p() || wire.has_min_p()) {
    return InvalidArgument(
        "a beam search draws nothing; leave out temperature, top_k, top_p and min_p, or beam_search");
  }
  params.beams = search.beams();
  if (search.has_length_penalty()) params.length_penalty = search.length_penalty();
  switch (search.early_stopping()) {
    case v1::EARLY_STOPPING_UNSPECIFIED:
    case v1::EARLY_STOPPING_HEURISTIC: params.early_stopping = engine::EarlyStopping::kNo; break;
    case v1::EARLY_STOPPING_FULL: params.early_stopping = engine::EarlyStopping::kYes; break;
    case v1::EARLY_STOPPING_NEVER: params.early_stopping = engine::EarlyStopping::kNever; break;
    default: return InvalidArgument("beam_search.early_stopping is not a known kind");
  }
  CONCLAVE_RETURN_IF_ERROR(engine::Validate(params));
  return params;
}

Result<SequenceRequest> FromWire(const v1::AdmitSequence& wire, const v1::SamplingParams& defaults,
                                 std::shared_ptr<EventSink> sink) {
  SequenceRequest request;
  CONCLAVE_ASSIGN_OR_RETURN(request.sampling, FromWire(wire.sampling(), defaults));
  CONCLAVE_ASSIGN_OR_RETURN(request.beams, BeamsFromWire(wire.sampling()));
  if (wire.end_token_ids_size() > kMostEndTokens) {
    return InvalidArgument("more than " + std::to_string(kMostEndTokens) + " end tokens");
  }
  if (wire.sampling().has_max_tokens() && wire.sampling().max_tokens() == 0) {
    return InvalidArgument("max_tokens is 0; ask for at least one token");
  }
  if (wire.further_answers_size() >= kMostAnswers) {
    return InvalidArgument("more than " + std::to_string(kMostAnswers - 1) + " further answers");
  }
  for (const v1::FurtherAnswer& answer : wire.further_answers()) {
    request.further.push_back({.id = answer.sequence_id(), .seed = answer.seed()});
  }
  request.sink = std::move(sink);
  request.id = wire.sequence_id();
  request.prompt.assign(wire.prompt_token_ids().begin(), wire.prompt_token_ids().end());
  request.max_tokens = wire.sampling().max_tokens();
  request.end_tokens.insert(wire.end_token_ids().begin(), wire.end_token_ids().end());
  request.ignore_end = wire.sampling().ignore_eos();
  request.request_id = wire.request_id();
  request.tenant = wire.tenant();
  return request;
}

v1::SamplingParams ToWire(const engine::SamplingParams& defaults) {
  v1::SamplingParams wire;
  wire.set_temperature(defaults.temperature);
  wire.set_top_k(static_cast<uint32_t>(defaults.top_k));
  wire.set_top_p(defaults.top_p);
  wire.set_min_p(defaults.min_p);
  wire.set_repetition_penalty(defaults.repetition_penalty);
  wire.set_max_tokens(static_cast<uint32_t>(kDefaultMaxTokens));
  return wire;
}

v1::GenerateResponse ToWire(const std::vector<SequenceEvent>& events) {
  v1::GenerateResponse response;
  for (const SequenceEvent& event : events) {
    v1::SequenceEvent& wire = *response.add_events();
    wire.set_sequence_id(event.sequence_id);
    for (const engine::SampledToken& token : event.tokens) {
      wire.add_token_ids(token.token_id);
      if (event.with_logprobs) FillLogprobs(token, *wire.add_logprobs());
    }
    if (event.end.has_value()) FillEnd(*event.end, *wire.mutable_end());
  }
  return response;
}

}  // namespace conclave::decoder
