#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "conclave/v1/retriever.pb.h"
#include "services/retriever/document_assembler.h"
#include "services/retriever/index_reader.h"
#include "services/retriever/ingest_session.h"

namespace conclave::retriever {

// Between messages of the wire and the domain's values.

/// INVALID_ARGUMENT for a format that is not known.
Result<DocumentPart> FromWire(v1::IngestRequest request, std::string tenant);
v1::IngestResponse ToWire(const IngestProgress& progress);
v1::SearchResponse ToWire(std::vector<SearchHit> hits);
v1::ListCollectionsResponse ToWire(const std::vector<CollectionSummary>& collections);

}  // namespace conclave::retriever
