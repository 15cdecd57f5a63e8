#include "services/retriever/wire.h"

#include <utility>

namespace conclave::retriever {

Result<DocumentPart> FromWire(v1::IngestRequest request, std::string tenant) {
  DocumentPart part;
  switch (request.format()) {
    case v1::DOCUMENT_FORMAT_UNSPECIFIED: break;
    case v1::DOCUMENT_FORMAT_TEXT: part.format = DocumentFormat::kText; break;
    case v1::DOCUMENT_FORMAT_MARKDOWN: part.format = DocumentFormat::kMarkdown; break;
    case v1::DOCUMENT_FORMAT_HTML: part.format = DocumentFormat::kHtml; break;
    default:
      return InvalidArgument("format " + std::to_string(request.format()) +
                             " is not known: use TEXT, MARKDOWN or HTML, or leave it out");
  }
  part.tenant = std::move(tenant);
  part.collection = std::move(*request.mutable_collection());
  part.source = std::move(*request.mutable_source());
  part.content = std::move(*request.mutable_content());
  part.last = request.last_part();
  return part;
}

v1::IngestResponse ToWire(const IngestProgress& progress) {
  v1::IngestResponse response;
  response.set_documents(progress.documents);
  response.set_chunks(progress.chunks);
  response.mutable_skipped()->insert(progress.skipped.begin(), progress.skipped.end());
  for (const SkippedDocument& document : progress.first_skipped) {
    v1::SkippedDocument& named = *response.add_first_skipped();
    named.set_source(document.source);
    named.set_reason(document.reason);
  }
  return response;
}

v1::SearchResponse ToWire(std::vector<SearchHit> hits) {
  v1::SearchResponse response;
  uint32_t rank = 0;
  for (SearchHit& hit : hits) {
    v1::SearchResult& result = *response.add_results();
    result.set_id(std::to_string(hit.chunk_number));
    result.set_source(std::move(hit.source));
    result.set_text(std::move(hit.chunk.text));
    result.set_heading(std::move(hit.chunk.heading));
    result.set_score(hit.score);
    result.set_lexical_rank(++rank);
  }
  return response;
}

v1::ListCollectionsResponse ToWire(const std::vector<CollectionSummary>& collections) {
  v1::ListCollectionsResponse response;
  for (const CollectionSummary& summary : collections) {
    v1::Collection& collection = *response.add_collections();
    collection.set_name(summary.name);
    collection.set_documents(summary.documents);
    collection.set_chunks(summary.chunks);
    collection.set_text_bytes(summary.text_bytes);
  }
  return response;
}

}  // namespace conclave::retriever
