#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/behavior.hpp>
#include <caf/stateful_actor.hpp>

#include "platform/metrics/metrics.h"
#include "services/retriever/analyzer.h"
#include "services/retriever/budget.h"
#include "services/retriever/index_reader.h"

namespace conclave::retriever {

/// A search on its way; the callbacks must not block.
struct SearchOrder {
  CollectionId collection;
  std::string query;
  size_t top_n = 0;
  std::function<bool()> cancelled;
  std::function<void(Result<std::vector<SearchHit>>)> done;
  Charge place;
};

struct ListOrder {
  std::string tenant;
  std::function<void(Result<std::vector<CollectionSummary>>)> done;
  Charge place;
};

using SearchOrderPtr = std::shared_ptr<SearchOrder>;
using ListOrderPtr = std::shared_ptr<ListOrder>;

struct SearchState {
  static inline const char* name = "retriever.search";  // NOLINT: CAF reads it
};

/// Carries out searches and listings, one at a time. It reads the disk: run it detached, several of them.
/// `reader` and `seconds` must outlive it.
caf::behavior SearchActor(caf::stateful_actor<SearchState>* self, const IndexReader* reader,
                          std::shared_ptr<Analyzer> analyzer, prometheus::Histogram* seconds);

}  // namespace conclave::retriever

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::retriever::SearchOrderPtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::retriever::ListOrderPtr)
