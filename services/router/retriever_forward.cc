#include "services/router/retriever_forward.h"

namespace conclave::router {

using RetrieverAsync = platform::Forwarder<v1::RetrieverService>::Async;

grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* RetrieverForward::Ingest(
    grpc::CallbackServerContext* context) {
  return forwarder_.BidiStream(&RetrieverAsync::Ingest, context);
}

grpc::ServerUnaryReactor* RetrieverForward::Search(grpc::CallbackServerContext* context,
                                                   const v1::SearchRequest* request,
                                                   v1::SearchResponse* response) {
  return forwarder_.Unary(&RetrieverAsync::Search, context, request, response);
}

grpc::ServerUnaryReactor* RetrieverForward::Delete(grpc::CallbackServerContext* context,
                                                   const v1::DeleteRequest* request,
                                                   v1::DeleteResponse* response) {
  return forwarder_.Unary(&RetrieverAsync::Delete, context, request, response);
}

grpc::ServerUnaryReactor* RetrieverForward::ListCollections(grpc::CallbackServerContext* context,
                                                            const v1::ListCollectionsRequest* request,
                                                            v1::ListCollectionsResponse* response) {
  return forwarder_.Unary(&RetrieverAsync::ListCollections, context, request, response);
}

}  // namespace conclave::router
