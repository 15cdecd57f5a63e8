#include "services/tokenizer/encode_session.h"

#include <utility>

#include "services/tokenizer/limits.h"

namespace conclave::tokenizer {

void EncodeSession::Serve(std::shared_ptr<EncodeSession> session) {
  Stream& stream = *session->stream_;
  stream.OnWritable([session] { session->UpdateReading(/*work_done=*/false); });
  stream.OnMessage([session](v1::EncodeRequest request) { Take(session, std::move(request)); });
}

void EncodeSession::Take(const std::shared_ptr<EncodeSession>& session, v1::EncodeRequest request) {
  if (request.text().size() <= kInlineTextBytes || request.text().size() > kMaxTextBytes) {
    session->Answer(request);
    return session->UpdateReading(/*work_done=*/false);
  }
  {
    std::lock_guard lock(session->mutex_);
    session->busy_ = true;
    session->stream_->PauseReading();
  }
  const size_t bytes = request.text().size();
  const auto shared = std::make_shared<const v1::EncodeRequest>(std::move(request));
  const Status posted = session->queue_.Post(bytes, [session, shared] {
    if (!session->stream_->cancelled()) session->Answer(*shared);
    session->UpdateReading(/*work_done=*/true);
  });
  if (!posted.ok()) session->stream_->Finish(posted);
}

void EncodeSession::Answer(const v1::EncodeRequest& request) {
  const EncodeOptions options{request.add_special(), request.parse_special()};
  const Result<std::vector<int32_t>> token_ids = tokenizer_.Encode(request.text(), options);
  if (!token_ids.ok()) return stream_->Finish(token_ids.status());
  counters_.CountEncoded(request.text().size(), token_ids->size());
  v1::EncodeResponse response;
  response.set_id(request.id());
  response.mutable_token_ids()->Add(token_ids->begin(), token_ids->end());
  stream_->Write(std::move(response));
}

void EncodeSession::UpdateReading(bool work_done) {
  std::lock_guard lock(mutex_);
  if (work_done) busy_ = false;
  if (busy_) return;
  if (stream_->writable()) {
    stream_->ResumeReading();
  } else {
    stream_->PauseReading();
  }
}

}  // namespace conclave::tokenizer
