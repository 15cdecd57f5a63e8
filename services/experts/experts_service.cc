#include "services/experts/experts_service.h"

#include <utility>

namespace conclave::experts {

ExpertsService::ExpertsService(caf::actor shard, v1::ExpertsServiceDescribeResponse description)
    : shard_(std::move(shard)), description_(std::move(description)) {}

grpc::ServerBidiReactor<v1::ExchangeRequest, v1::ExchangeResponse>* ExpertsService::Exchange(
    grpc::CallbackServerContext* context) {
  return platform::ServeBidi<v1::ExchangeRequest, v1::ExchangeResponse>(
      context, [this](const platform::CallContext&, std::shared_ptr<ExchangeStream> stream) {
        auto session = std::make_shared<ExchangeSession>(ExchangeSession{stream});
        stream->OnMessage([shard = shard_, session](v1::ExchangeRequest request) {
          // One frame at a time: the next is read when this one is answered.
          session->stream->PauseReading();
          auto frame = std::make_shared<const v1::ExchangeRequest>(std::move(request));
          caf::anon_send(shard, FrameMessage{session, std::move(frame)});
        });
      });
}

grpc::ServerUnaryReactor* ExpertsService::Describe(grpc::CallbackServerContext* context,
                                                   const v1::ExpertsServiceDescribeRequest*,
                                                   v1::ExpertsServiceDescribeResponse* response) {
  using Reply = platform::UnaryReply<v1::ExpertsServiceDescribeResponse>;
  return platform::ServeUnary<v1::ExpertsServiceDescribeResponse>(
      context, response,
      [this](const platform::CallContext&, std::shared_ptr<Reply> reply) { reply->Finish(description_); });
}

}  // namespace conclave::experts
