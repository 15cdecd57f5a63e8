#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "services/retriever/budget.h"
#include "services/retriever/document.h"

namespace conclave::retriever {

/// What one message of an ingest stream says.
struct DocumentPart {
  std::string tenant;
  /// Empty: that of the document before.
  std::string collection;
  /// Empty: that of the part before in the same document.
  std::string source;
  /// Nothing: by the source's name.
  std::optional<DocumentFormat> format;
  std::string content;
  bool last = false;
};

/// A whole document, or why it cannot be used.
struct AssembledDocument {
  Document document;
  std::string skip_reason;
  /// For the content's bytes.
  Charge charge;
};

/// Puts the parts of one stream's documents together. Not thread-safe.
class DocumentAssembler {
 public:
  /// `budget`: of bytes, for all streams together.
  explicit DocumentAssembler(std::shared_ptr<Budget> budget) : budget_(std::move(budget)) {}

  /// The document that this part ended, if it did. It is skipped for "too large" (kMaxDocumentBytes) and
  /// "unusable name" (CheckSource). Errors, after which the assembler is of no use:
  /// INVALID_ARGUMENT (CheckCollectionName; no source; a name that changes within a document),
  /// RESOURCE_EXHAUSTED (all streams together hold too much).
  Result<std::optional<AssembledDocument>> Add(DocumentPart part);

  /// A document has begun and not ended.
  bool in_document() const { return in_document_; }
  const std::string& source() const { return open_.document.source; }

 private:
  Status Begin(const DocumentPart& part);
  Status CheckSame(const DocumentPart& part) const;

  std::shared_ptr<Budget> budget_;
  CollectionId collection_;
  AssembledDocument open_;
  bool in_document_ = false;
};

}  // namespace conclave::retriever
