#pragma once

#include <memory>

#include "conclave/v1/retriever.grpc.pb.h"
#include "platform/rpc/forwarder.h"

namespace conclave::router {

/// A retriever in another process: all its methods are public, and are passed on to it
/// (platform/rpc/forwarder.h says how).
class RetrieverForward final : public v1::RetrieverService::CallbackService {
 public:
  /// `channel` null: no process of the installation has the service.
  RetrieverForward(const std::shared_ptr<grpc::Channel>& channel, platform::ForwardOptions options)
      : forwarder_(channel, std::move(options)) {}

  grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* Ingest(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Search(grpc::CallbackServerContext* context, const v1::SearchRequest* request,
                                   v1::SearchResponse* response) override;
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* context, const v1::DeleteRequest* request,
                                   v1::DeleteResponse* response) override;
  grpc::ServerUnaryReactor* ListCollections(grpc::CallbackServerContext* context,
                                            const v1::ListCollectionsRequest* request,
                                            v1::ListCollectionsResponse* response) override;

  bool configured() const { return forwarder_.configured(); }
  bool idle() const { return forwarder_.idle(); }

 private:
  platform::Forwarder<v1::RetrieverService> forwarder_;
};

}  // namespace conclave::router
