#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/status.h"
#include "services/retriever/document_assembler.h"

namespace conclave::retriever {

struct SkippedDocument {
  std::string source;  ///< empty when it was too long
  std::string reason;
};

/// What has become of a stream's documents so far.
struct IngestProgress {
  uint64_t documents = 0;
  uint64_t chunks = 0;
  std::map<std::string, uint64_t> skipped;
  std::vector<SkippedDocument> first_skipped;  ///< at most kMaxNamedSkipped
};

/// The client at the other end of an ingest stream. Called on any thread; must not block, nor call back into
/// the session.
class IngestClient {
 public:
  virtual ~IngestClient() = default;
  virtual void Report(const IngestProgress& progress, bool is_final) = 0;
  virtual void Finish(const Status& status) = 0;
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;
  virtual bool gone() const = 0;
};

class IngestSession;

/// A document on its way from a stream to the disk.
struct PendingDocument {
  std::shared_ptr<IngestSession> session;
  Document document;
  size_t bytes = 0;
  Charge charge;
};

/// One ingest stream: passes its documents on, not more of them than kMaxStreamDocuments or kMaxStreamBytes
/// at once (then it is not read), and tells the client what is on disk. Any thread may call.
class IngestSession : public std::enable_shared_from_this<IngestSession> {
 public:
  using Submit = std::function<void(PendingDocument)>;

  /// `submit` must not call back before it returns. `place`: of the streams there may be.
  IngestSession(std::unique_ptr<IngestClient> client, std::shared_ptr<Budget> bytes, Charge place,
                Submit submit)
      : client_(std::move(client)),
        assembler_(std::move(bytes)),
        place_(std::move(place)),
        submit_(std::move(submit)) {}

  /// A message of the client; they come one at a time.
  void Receive(DocumentPart part);
  /// The client sends no more. The stream ends when all its documents have their fate.
  void HalfClose();

  // The fate of a submitted document.
  void Stored(const PendingDocument& document, uint64_t chunks);
  void Skipped(const PendingDocument& document, const std::string& reason);
  void Failed(const PendingDocument& document, const Status& status);

  /// Nobody waits for the stream's documents any more.
  bool abandoned() const;

  /// Ends the stream; only the first end counts.
  void Fail(const Status& status);

  /// Whether the next part begins a document.
  bool between_documents() const;

 private:
  void SkipLocked(const std::string& source, const std::string& reason);
  void SettleLocked(const PendingDocument& document);
  void ReportLocked();
  void FinishLocked(const Status& status);

  mutable std::mutex mutex_;
  const std::unique_ptr<IngestClient> client_;
  DocumentAssembler assembler_;
  Charge place_;
  const Submit submit_;
  IngestProgress progress_;
  size_t pending_documents_ = 0;
  size_t pending_bytes_ = 0;
  bool paused_ = false;
  bool half_closed_ = false;
  bool finished_ = false;
};

}  // namespace conclave::retriever
