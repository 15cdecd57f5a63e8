#pragma once

#include "platform/metrics/metrics.h"

namespace conclave::retriever {

// The metrics of the retriever service.

inline const platform::MetricDefinition kDocumentsTotal{"conclave_retriever_documents_total",
                                                        "Documents that were put on disk."};
inline const platform::MetricDefinition kChunksTotal{"conclave_retriever_chunks_total",
                                                     "Passages that were put on disk."};
inline const platform::MetricDefinition kSkippedTotal{"conclave_retriever_skipped_total",
                                                      "Documents that could not be used, by reason."};
inline const platform::MetricDefinition kWriteSeconds{
    "conclave_retriever_write_seconds",
    "How long one synchronous write of documents took, staging included."};
inline const platform::MetricDefinition kSearchSeconds{"conclave_retriever_search_seconds",
                                                       "How long a search took, from query to passages."};

/// The series that are written where documents are; they outlive the service.
struct IngestMetrics {
  prometheus::Counter* documents = nullptr;
  prometheus::Counter* chunks = nullptr;
  prometheus::Histogram* write_seconds = nullptr;
};

inline IngestMetrics MakeIngestMetrics(platform::Metrics& metrics) {
  return {&metrics.Counter(kDocumentsTotal), &metrics.Counter(kChunksTotal),
          &metrics.Histogram(kWriteSeconds, platform::DurationBucketsS())};
}

}  // namespace conclave::retriever
