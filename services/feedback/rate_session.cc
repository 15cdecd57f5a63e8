#include "services/feedback/rate_session.h"

#include "services/feedback/limits.h"

namespace conclave::feedback {

void RateSession::Serve(std::shared_ptr<Stream> stream, FeedbackDesk& desk, std::string tenant) {
  auto session = std::make_shared<RateSession>(stream, desk, std::move(tenant));
  // The stream drops its callbacks, and with them the session, when it is over.
  stream->OnMessage([session](const v1::RateStreamRequest& request) { session->OnRating(request); });
  stream->OnHalfClose([session] { session->OnHalfClose(); });
  stream->OnWritable([session] {
    std::lock_guard lock(session->mutex_);
    session->AdvanceLocked();
  });
}

void RateSession::OnRating(const v1::RateStreamRequest& request) {
  auto slot = std::make_shared<Slot>();
  slot->response.set_id(request.id());
  {
    std::lock_guard lock(mutex_);
    slots_.push_back(slot);
    if (slots_.size() >= kMaxStreamInFlight) stream_->PauseReading();
  }
  desk_.Rate(
      request.rating(), tenant_,
      [self = shared_from_this(), slot](Result<v1::RateResponse> result) { self->OnAnswer(*slot, result); },
      [stream = stream_] { return stream->cancelled(); });
}

void RateSession::OnAnswer(Slot& slot, const Result<v1::RateResponse>& result) {
  std::lock_guard lock(mutex_);
  if (result.ok()) {
    slot.response.set_rating_id(result->rating_id());
  } else {
    const Status status = result.status();
    slot.response.set_error_code(static_cast<int32_t>(status.code()));
    slot.response.set_error_message(status.message());
    slot.response.set_retry_after_ms(status.retry_after_ms());
  }
  slot.answered = true;
  AdvanceLocked();
}

void RateSession::OnHalfClose() {
  std::lock_guard lock(mutex_);
  half_closed_ = true;
  AdvanceLocked();
}

void RateSession::AdvanceLocked() {
  while (!slots_.empty() && slots_.front()->answered && stream_->writable()) {
    stream_->Write(std::move(slots_.front()->response));
    slots_.pop_front();
  }
  if (slots_.size() < kMaxStreamInFlight) stream_->ResumeReading();
  if (half_closed_ && slots_.empty()) stream_->Finish(Status::Ok());
}

}  // namespace conclave::feedback
