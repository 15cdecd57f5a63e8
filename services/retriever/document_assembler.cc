#include "services/retriever/document_assembler.h"

#include <utility>

#include "services/retriever/checks.h"
#include "services/retriever/limits.h"
#include "services/retriever/text_extraction.h"

namespace conclave::retriever {

Status DocumentAssembler::Begin(const DocumentPart& part) {
  if (!part.collection.empty() || collection_.name.empty()) {
    CONCLAVE_RETURN_IF_ERROR(CheckCollectionName(part.collection));
    collection_.name = part.collection;
  }
  if (part.source.empty()) return CheckSource(part.source);
  collection_.tenant = part.tenant;
  open_ = AssembledDocument();
  open_.charge = Charge(budget_);
  open_.document.collection = collection_;
  open_.document.source = part.source;
  open_.document.format = part.format.value_or(FormatOf(part.source));
  // One file with an odd name must not end the reading of a whole folder.
  if (!CheckSource(part.source).ok()) open_.skip_reason = "unusable name";
  in_document_ = true;
  return Status::Ok();
}

Status DocumentAssembler::CheckSame(const DocumentPart& part) const {
  const bool same = (part.source.empty() || part.source == open_.document.source) &&
                    (part.collection.empty() || part.collection == collection_.name) &&
                    part.tenant == collection_.tenant;
  if (same) return Status::Ok();
  return InvalidArgument("document '" + open_.document.source + "' changed its name before its last part");
}

Result<std::optional<AssembledDocument>> DocumentAssembler::Add(DocumentPart part) {
  if (in_document_) {
    CONCLAVE_RETURN_IF_ERROR(CheckSame(part));
  } else {
    CONCLAVE_RETURN_IF_ERROR(Begin(part));
  }
  std::string& content = open_.document.content;
  if (open_.skip_reason.empty() && part.content.size() > kMaxDocumentBytes - content.size()) {
    open_.skip_reason = "too large";
    content = std::string();
    open_.charge.Clear();
  }
  if (open_.skip_reason.empty()) {
    if (!open_.charge.Grow(part.content.size())) {
      return ResourceExhausted("too many documents are being ingested at once")
          .WithRetryAfterMs(kRetryAfterMs);
    }
    if (content.empty()) {
      content = std::move(part.content);
    } else {
      content += part.content;
    }
  }
  if (!part.last) return std::optional<AssembledDocument>();
  in_document_ = false;
  return std::optional<AssembledDocument>(std::exchange(open_, AssembledDocument()));
}

}  // namespace conclave::retriever
