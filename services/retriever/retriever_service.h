#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include <caf/actor.hpp>
#include <grpcpp/grpcpp.h>

#include "conclave/v1/retriever.grpc.pb.h"
#include "platform/metrics/metrics.h"
#include "services/retriever/budget.h"
#include "services/retriever/ingest_session.h"

namespace conclave::retriever {

/// Who does the service's work.
struct RetrieverActors {
  caf::actor ingest;
  caf::actor index;
  std::vector<caf::actor> searchers;
};

/// The gRPC face: checks requests, turns them into messages and results into answers.
class RetrieverService final : public v1::RetrieverService::CallbackService {
 public:
  RetrieverService(RetrieverActors actors, platform::Metrics& metrics);

  grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* Ingest(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Search(grpc::CallbackServerContext* context, const v1::SearchRequest* request,
                                   v1::SearchResponse* response) override;
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* context, const v1::DeleteRequest* request,
                                   v1::DeleteResponse* response) override;
  grpc::ServerUnaryReactor* ListCollections(grpc::CallbackServerContext* context,
                                            const v1::ListCollectionsRequest* request,
                                            v1::ListCollectionsResponse* response) override;

  /// From now on no stream may begin another document.
  void StartDrain() { draining_ = true; }
  /// No document, search or deletion is under way.
  bool idle() const { return bytes_->used() + searches_->used() + deletes_->used() == 0; }

 private:
  caf::actor NextSearcher();

  const RetrieverActors actors_;
  platform::Metrics& metrics_;
  const std::shared_ptr<Budget> streams_, bytes_, searches_, deletes_;
  std::atomic<size_t> next_searcher_ = 0;
  std::atomic<bool> draining_ = false;
};

}  // namespace conclave::retriever
