#include "services/router/feedback_forward.h"

namespace conclave::router {

using FeedbackAsync = platform::Forwarder<v1::FeedbackService>::Async;

grpc::ServerUnaryReactor* FeedbackForward::Rate(grpc::CallbackServerContext* context,
                                                const v1::RateRequest* request, v1::RateResponse* response) {
  return forwarder_.Unary(&FeedbackAsync::Rate, context, request, response);
}

grpc::ServerBidiReactor<v1::RateStreamRequest, v1::RateStreamResponse>* FeedbackForward::RateStream(
    grpc::CallbackServerContext* context) {
  return forwarder_.BidiStream(&FeedbackAsync::RateStream, context);
}

grpc::ServerUnaryReactor* FeedbackForward::Record(grpc::CallbackServerContext* context,
                                                  const v1::RecordRequest*, v1::RecordResponse* response) {
  return platform::ServeUnary(context, response, [](const platform::CallContext&, auto reply) {
    reply->Finish(
        PermissionDenied("FeedbackService.Record is internal: the router calls it for every answer it gives, "
                         "and passes it on for nobody"));
  });
}

grpc::ServerWriteReactor<v1::ExportResponse>* FeedbackForward::Export(grpc::CallbackServerContext* context,
                                                                      const v1::ExportRequest* request) {
  return forwarder_.ServerStream(&FeedbackAsync::Export, context, request);
}

}  // namespace conclave::router
