#include "services/retriever/search_actor.h"

#include <chrono>
#include <exception>
#include <utility>

#include <caf/event_based_actor.hpp>

namespace conclave::retriever {
namespace {

Result<std::vector<SearchHit>> Search(const IndexReader& reader, Analyzer& analyzer,
                                      const SearchOrder& order) {
  if (order.cancelled()) return Cancelled("the caller is gone");
  try {
    return reader.Search(order.collection, analyzer.Analyze(order.query), order.top_n, order.cancelled);
  } catch (const std::exception& error) {
    return ResourceExhausted(std::string("the search could not be carried out: ") + error.what());
  }
}

}  // namespace

caf::behavior SearchActor(caf::stateful_actor<SearchState>*, const IndexReader* reader,
                          std::shared_ptr<Analyzer> analyzer, prometheus::Histogram* seconds) {
  return {
      [=](const SearchOrderPtr& order) {
        const auto start = std::chrono::steady_clock::now();
        auto hits = Search(*reader, *analyzer, *order);
        seconds->Observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        order->done(std::move(hits));
      },
      [=](const ListOrderPtr& order) { order->done(reader->ListCollections(order->tenant)); },
  };
}

}  // namespace conclave::retriever
