#include "services/retriever/ingest_session.h"

#include <optional>
#include <utility>

#include "services/retriever/limits.h"

namespace conclave::retriever {

void IngestSession::Receive(DocumentPart part) {
  std::optional<PendingDocument> pending;
  {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    auto added = assembler_.Add(std::move(part));
    if (!added.ok()) return FinishLocked(added.status());
    if (!*added) return;
    AssembledDocument& assembled = **added;
    if (!assembled.skip_reason.empty()) {
      SkipLocked(assembled.document.source, assembled.skip_reason);
      return ReportLocked();
    }
    const size_t bytes = assembled.document.content.size();
    pending = PendingDocument{shared_from_this(), std::move(assembled.document), bytes,
                              std::move(assembled.charge)};
    ++pending_documents_;
    pending_bytes_ += bytes;
    if (!paused_ && (pending_documents_ >= kMaxStreamDocuments || pending_bytes_ >= kMaxStreamBytes)) {
      paused_ = true;
      client_->PauseReading();
    }
  }
  submit_(*std::move(pending));
}

void IngestSession::HalfClose() {
  std::lock_guard lock(mutex_);
  if (finished_) return;
  if (assembler_.in_document()) {
    return FinishLocked(InvalidArgument("the stream ended before the last part of '" + assembler_.source() +
                                        "': set last_part on it"));
  }
  half_closed_ = true;
  if (pending_documents_ == 0) FinishLocked(Status::Ok());
}

void IngestSession::Stored(const PendingDocument& document, uint64_t chunks) {
  std::lock_guard lock(mutex_);
  ++progress_.documents;
  progress_.chunks += chunks;
  SettleLocked(document);
}

void IngestSession::Skipped(const PendingDocument& document, const std::string& reason) {
  std::lock_guard lock(mutex_);
  SkipLocked(document.document.source, reason);
  SettleLocked(document);
}

void IngestSession::Failed(const PendingDocument& document, const Status& status) {
  std::lock_guard lock(mutex_);
  FinishLocked(status);
  SettleLocked(document);
}

bool IngestSession::abandoned() const {
  std::lock_guard lock(mutex_);
  return finished_ || client_->gone();
}

void IngestSession::Fail(const Status& status) {
  std::lock_guard lock(mutex_);
  FinishLocked(status);
}

bool IngestSession::between_documents() const {
  std::lock_guard lock(mutex_);
  return !assembler_.in_document();
}

void IngestSession::SkipLocked(const std::string& source, const std::string& reason) {
  ++progress_.skipped[reason];
  if (progress_.first_skipped.size() == kMaxNamedSkipped) return;
  progress_.first_skipped.push_back({source.size() > kMaxSourceBytes ? "" : source, reason});
}

void IngestSession::SettleLocked(const PendingDocument& document) {
  --pending_documents_;
  pending_bytes_ -= document.bytes;
  if (finished_) return;
  if (half_closed_ && pending_documents_ == 0) return FinishLocked(Status::Ok());
  ReportLocked();
  if (paused_ && pending_documents_ <= kMaxStreamDocuments / 2 && pending_bytes_ <= kMaxStreamBytes / 2) {
    paused_ = false;
    client_->ResumeReading();
  }
}

void IngestSession::ReportLocked() { client_->Report(progress_, false); }

void IngestSession::FinishLocked(const Status& status) {
  if (std::exchange(finished_, true)) return;
  if (status.ok()) client_->Report(progress_, true);
  client_->Finish(status);
  place_.Clear();
}

}  // namespace conclave::retriever
