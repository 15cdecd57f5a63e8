#pragma once

#include <string>

#include "services/retriever/analyzer.h"
#include "services/retriever/chunker.h"
#include "services/retriever/document.h"

namespace conclave::retriever {

/// A document ready to be stored, or why it is skipped: "not text", "empty" (ExtractText), "too many
/// passages" (over kMaxDocumentChunks), "too many words" (over kMaxDocumentTerms different ones).
struct Preparation {
  PreparedDocument document;
  std::string skip_reason;
};

/// Extracts, cuts and analyses. A passage's terms are those of its heading and of its text.
Preparation PrepareDocument(const Document& document, Analyzer& analyzer, const ChunkerOptions& options = {});

}  // namespace conclave::retriever
