#include "services/experts/experts_service.h"

#include <utility>

#include "platform/rpc/server_call.h"

namespace conclave::experts {

ExpertsService::ExpertsService(caf::actor shard, std::shared_ptr<FrameComputer> computer,
                               v1::ExpertsServiceDescribeResponse description)
    : shard_(std::move(shard)),
      computer_(std::move(computer)),
      memory_(computer_),
      description_(std::move(description)) {}

grpc::ServerBidiReactor<v1::ExchangeRequest, v1::ExchangeResponse>* ExpertsService::Exchange(
    grpc::CallbackServerContext* context) {
  return platform::ServeBidi<v1::ExchangeRequest, v1::ExchangeResponse>(
      context, [this](const platform::CallContext&, std::shared_ptr<ExchangeStream> stream) {
        auto session = std::make_shared<StreamSession>(std::move(stream));
        session->stream->OnMessage([this, session](v1::ExchangeRequest request) {
          // One frame at a time: the next is read when this one is answered.
          session->stream->PauseReading();
          v1::ExchangeResponse response;
          if (const auto computed = computer_->TryAnswer(*session, request, response)) {
            return session->Take(*computed, std::move(response));
          }
          auto frame = std::make_shared<const v1::ExchangeRequest>(std::move(request));
          caf::anon_send(shard_, FrameMessage{session, std::move(frame)});
        });
      });
}

grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* ExpertsService::Attach(
    grpc::CallbackServerContext* context) {
  return platform::ServeBidi<v1::AttachRequest, v1::AttachResponse>(
      context, [this](const platform::CallContext& call, std::shared_ptr<AttachStream> stream) {
        memory_.Serve(call, std::move(stream));
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
