#include "services/retriever/retriever_module.h"

#include <utility>

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "services/retriever/index_actor.h"
#include "services/retriever/index_reader.h"
#include "services/retriever/index_writer.h"
#include "services/retriever/ingest_actor.h"
#include "services/retriever/limits.h"
#include "services/retriever/metrics.h"
#include "services/retriever/retriever_service.h"
#include "services/retriever/search_actor.h"

namespace conclave::retriever {
namespace {

/// One for each actor that reads text.
Result<std::vector<std::shared_ptr<Analyzer>>> MakeAnalyzers(size_t count) {
  std::vector<std::shared_ptr<Analyzer>> analyzers;
  for (size_t i = 0; i < count; ++i) {
    CONCLAVE_ASSIGN_OR_RETURN(auto analyzer, Analyzer::Make());
    analyzers.push_back(std::make_shared<Analyzer>(std::move(analyzer)));
  }
  return analyzers;
}

class RetrieverModule final : public platform::ServiceModule {
 public:
  RetrieverModule(const platform::ModuleContext& context, std::unique_ptr<platform::DurableStore> store,
                  const std::vector<std::shared_ptr<Analyzer>>& analyzers)
      : system_(context.actors),
        store_(std::move(store)),
        writer_(*store_),
        reader_(*store_),
        actors_(Spawn(context.metrics, analyzers)),
        service_(actors_, context.metrics) {}

  ~RetrieverModule() override {
    caf::scoped_actor self(system_);
    // In the order of the work's way, so that each still finds the next one alive.
    std::vector<caf::actor> all = {actors_.ingest, actors_.index};
    all.insert(all.end(), actors_.searchers.begin(), actors_.searchers.end());
    for (const caf::actor& actor : all) {
      caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
      self->wait_for(actor);
    }
  }

  std::string name() const override { return "retriever"; }
  std::string proto_name() const override { return v1::RetrieverService::service_full_name(); }
  grpc::Service* service() override { return &service_; }
  void StartDrain() override { service_.StartDrain(); }
  bool Drained() override { return service_.idle(); }

 private:
  RetrieverActors Spawn(platform::Metrics& metrics, const std::vector<std::shared_ptr<Analyzer>>& analyzers) {
    RetrieverActors actors;
    prometheus::Histogram* seconds = &metrics.Histogram(kSearchSeconds, platform::DurationBucketsS());
    actors.index = system_.spawn<caf::detached>(IndexActor, &writer_, MakeIngestMetrics(metrics));
    actors.ingest = system_.spawn<caf::detached>(IngestActor, actors.index, analyzers[0]);
    for (size_t i = 1; i < analyzers.size(); ++i) {
      const IndexReader* reader = &reader_;
      actors.searchers.push_back(system_.spawn<caf::detached>(SearchActor, reader, analyzers[i], seconds));
    }
    return actors;
  }

  caf::actor_system& system_;
  const std::unique_ptr<platform::DurableStore> store_;
  IndexWriter writer_;
  const IndexReader reader_;
  const RetrieverActors actors_;
  RetrieverService service_;
};

}  // namespace

Result<std::unique_ptr<platform::ServiceModule>> MakeRetrieverModule(const platform::ModuleContext& context) {
  const platform::PhaseTimer timer(context.phases, "opening the retriever's store");
  CONCLAVE_ASSIGN_OR_RETURN(auto store, OpenIndex(context.data_dir / "retriever"));
  CONCLAVE_ASSIGN_OR_RETURN(const auto analyzers, MakeAnalyzers(1 + kSearchThreads));
  return std::unique_ptr<platform::ServiceModule>(
      std::make_unique<RetrieverModule>(context, std::move(store), analyzers));
}

}  // namespace conclave::retriever
