#include "services/tokenizer/decode_session.h"

#include <utility>

#include "services/tokenizer/limits.h"

namespace conclave::tokenizer {

DecodeSession::~DecodeSession() {
  counters_.open_sequences.Decrement(static_cast<double>(sequences_.size()));
}

void DecodeSession::Serve(std::shared_ptr<DecodeSession> session) {
  Stream& stream = *session->stream_;
  stream.OnWritable([session] { session->UpdateReading(); });
  stream.OnMessage([session](v1::DecodeRequest request) {
    Result<v1::DecodeResponse> response = session->Decode(request);
    if (!response.ok()) return session->stream_->Finish(response.status());
    session->stream_->Write(std::move(response).value());
    session->UpdateReading();
  });
}

Result<v1::DecodeResponse> DecodeSession::Decode(const v1::DecodeRequest& request) {
  if (static_cast<size_t>(request.more_size()) > kMaxDecodeParts) {
    return InvalidArgument("a message may have at most " + std::to_string(kMaxDecodeParts) +
                           " further parts");
  }
  CONCLAVE_ASSIGN_OR_RETURN(v1::DecodeResponse response, DecodePart(request));
  for (const v1::DecodeRequest& part : request.more()) {
    if (part.more_size() > 0)
      return InvalidArgument("`more` within `more`; put all parts into the outer one");
    CONCLAVE_ASSIGN_OR_RETURN(*response.add_more(), DecodePart(part));
  }
  return response;
}

Result<v1::DecodeResponse> DecodeSession::DecodePart(const v1::DecodeRequest& part) {
  if (static_cast<size_t>(part.token_ids_size()) > kMaxDecodeTokens) {
    return InvalidArgument(std::to_string(part.token_ids_size()) + " token ids at once; at most " +
                           std::to_string(kMaxDecodeTokens) + " are decoded at once");
  }
  auto sequence = sequences_.find(part.sequence_id());
  if (sequence == sequences_.end()) {
    if (sequences_.size() >= kMaxOpenSequences) {
      return ResourceExhausted("the stream holds " + std::to_string(kMaxOpenSequences) +
                               " open sequences; end some with `last`, or open another stream");
    }
    sequence = sequences_.emplace(part.sequence_id(), tokenizer_.NewDetokenizer()).first;
    counters_.open_sequences.Increment();
  }
  const std::span<const int32_t> token_ids(part.token_ids().data(),
                                           static_cast<size_t>(part.token_ids_size()));
  CONCLAVE_ASSIGN_OR_RETURN(std::string text, sequence->second.Append(token_ids, part.keep_special()));
  counters_.decoded_tokens.Increment(static_cast<double>(token_ids.size()));
  if (part.last()) {
    text += sequence->second.Finish();
    sequences_.erase(sequence);
    counters_.open_sequences.Decrement();
  }
  v1::DecodeResponse response;
  response.set_sequence_id(part.sequence_id());
  response.set_text(std::move(text));
  response.set_last(part.last());
  return response;
}

void DecodeSession::UpdateReading() {
  std::lock_guard lock(reading_mutex_);
  if (stream_->writable()) {
    stream_->ResumeReading();
  } else {
    stream_->PauseReading();
  }
}

}  // namespace conclave::tokenizer
