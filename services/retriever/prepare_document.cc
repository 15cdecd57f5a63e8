#include "services/retriever/prepare_document.h"

#include <unordered_set>
#include <utility>

#include "services/retriever/limits.h"
#include "services/retriever/text_extraction.h"

namespace conclave::retriever {

Preparation PrepareDocument(const Document& document, Analyzer& analyzer, const ChunkerOptions& options) {
  Preparation preparation;
  ExtractedText extracted = ExtractText(document.content, document.format);
  preparation.skip_reason = std::move(extracted.skip_reason);
  if (!preparation.skip_reason.empty()) return preparation;
  std::vector<Chunk> chunks = ChunkBlocks(extracted.blocks, options);
  if (chunks.size() > kMaxDocumentChunks) {
    preparation.skip_reason = "too many passages";
    return preparation;
  }
  PreparedDocument& prepared = preparation.document;
  prepared.collection = document.collection;
  prepared.source = document.source;
  std::unordered_set<std::string> different;
  for (Chunk& chunk : chunks) {
    PreparedDocument::Passage passage;
    for (const std::string& text : {chunk.heading, chunk.text}) {
      for (std::string& term : analyzer.Analyze(text)) {
        different.insert(term);
        ++passage.terms[std::move(term)];
        ++passage.length;
      }
    }
    if (different.size() > kMaxDocumentTerms) {
      return {.document = {}, .skip_reason = "too many words"};
    }
    prepared.text_bytes += chunk.text.size();
    passage.chunk = std::move(chunk);
    prepared.passages.push_back(std::move(passage));
  }
  return preparation;
}

}  // namespace conclave::retriever
