#include "services/router/router_service.h"

#include <chrono>
#include <utility>

#include "platform/rpc/server_call.h"
#include "services/router/limits.h"
#include "services/router/request_actor.h"
#include "services/router/session_actor.h"

namespace conclave::router {
namespace {

/// Counts an open request for as long as it lives.
class OpenRequest {
 public:
  explicit OpenRequest(std::shared_ptr<std::atomic<int64_t>> count) : count_(std::move(count)) { ++*count_; }
  ~OpenRequest() { --*count_; }
  OpenRequest(const OpenRequest&) = delete;

 private:
  std::shared_ptr<std::atomic<int64_t>> count_;
};

/// The answers' events as the messages of a stream; ChatResponse and CompleteResponse have the same fields.
template <typename Response>
class StreamSink final : public AnswerSink {
 public:
  StreamSink(std::shared_ptr<platform::ServerStream<Response>> stream,
             std::shared_ptr<std::atomic<int64_t>> count)
      : stream_(std::move(stream)), open_(std::move(count)) {}

  void Started(v1::AnswerStarted event) override {
    Response response;
    *response.mutable_started() = std::move(event);
    stream_->Write(std::move(response));
  }
  void Delta(v1::AnswerDelta event) override {
    Response response;
    *response.mutable_delta() = std::move(event);
    stream_->Write(std::move(response));
  }
  void Finished(v1::AnswerFinished event) override {
    Response response;
    *response.mutable_finished() = std::move(event);
    stream_->Write(std::move(response));
  }
  void Failed(v1::AnswerFailed event) override {
    Response response;
    *response.mutable_failed() = std::move(event);
    stream_->Write(std::move(response));
  }
  void End() override { stream_->Finish(Status::Ok()); }
  void Fail(const Status& status) override { stream_->Finish(status); }

 private:
  std::shared_ptr<platform::ServerStream<Response>> stream_;
  OpenRequest open_;
};

/// No request lives for ever, whatever its client said.
void BoundDeadline(platform::CallContext& call) {
  call.deadline = std::min(call.deadline,
                           std::chrono::system_clock::now() + std::chrono::milliseconds(kLongestRequestMs));
}

}  // namespace

RouterService::RouterService(caf::actor_system& actors, std::shared_ptr<Backends> backends,
                             caf::actor sessions, int64_t most_open)
    : actors_(actors),
      backends_(std::move(backends)),
      sessions_(std::move(sessions)),
      most_open_(most_open) {}

template <typename Response>
grpc::ServerWriteReactor<Response>* RouterService::Answer(grpc::CallbackServerContext* context,
                                                          Result<RequestPlan> plan) {
  return platform::ServeStream<Response>(
      context,
      [this, &plan](platform::CallContext call, std::shared_ptr<platform::ServerStream<Response>> stream) {
        if (draining_) {
          return stream->Finish(
              Unavailable("the server is shutting down; try again later").WithRetryAfterMs(kRetryAfterMs));
        }
        if (!plan.ok()) return stream->Finish(plan.status());
        if (*open_requests_ >= most_open_) {
          return stream->Finish(ResourceExhausted("the server has " + std::to_string(most_open_) +
                                                  " open requests, as many as it takes; try again later")
                                    .WithRetryAfterMs(kRetryAfterMs));
        }
        BoundDeadline(call);
        auto sink = std::make_shared<StreamSink<Response>>(stream, open_requests_);
        auto actor =
            actors_.spawn<RequestActor>(backends_, std::move(sink), std::move(call), *std::move(plan));
        stream->OnCancel([actor] { caf::anon_send(actor, ClientGone{}); });
      });
}

grpc::ServerWriteReactor<v1::ChatResponse>* RouterService::Chat(grpc::CallbackServerContext* context,
                                                                const v1::ChatRequest* request) {
  return Answer<v1::ChatResponse>(context, PlanOf(*request));
}

grpc::ServerWriteReactor<v1::CompleteResponse>* RouterService::Complete(grpc::CallbackServerContext* context,
                                                                        const v1::CompleteRequest* request) {
  return Answer<v1::CompleteResponse>(context, PlanOf(*request));
}

grpc::ServerUnaryReactor* RouterService::ListModels(grpc::CallbackServerContext* context,
                                                    const v1::ListModelsRequest*,
                                                    v1::ListModelsResponse* response) {
  using Reply = platform::UnaryReply<v1::ListModelsResponse>;
  return platform::ServeUnary<v1::ListModelsResponse>(
      context, response, [this](const platform::CallContext& call, std::shared_ptr<Reply> reply) {
        backends_->GetModel(call, [reply](Result<ModelInfo> model) {
          if (!model.ok()) return reply->Finish(model.status());
          v1::ListModelsResponse models;
          v1::Model& entry = *models.add_models();
          *entry.mutable_identity() = model->identity;
          entry.set_context_length(model->context_length);
          entry.set_is_default(true);
          reply->Finish(std::move(models));
        });
      });
}

grpc::ServerUnaryReactor* RouterService::GetSession(grpc::CallbackServerContext* context,
                                                    const v1::GetSessionRequest* request,
                                                    v1::GetSessionResponse* response) {
  using Reply = platform::UnaryReply<v1::GetSessionResponse>;
  return platform::ServeUnary<v1::GetSessionResponse>(
      context, response, [&](const platform::CallContext& call, std::shared_ptr<Reply> reply) {
        auto answer = [reply](Result<Session> session) {
          if (!session.ok()) return reply->Finish(session.status());
          v1::GetSessionResponse found;
          for (const auto& message : session->messages) *found.add_messages() = message;
          found.set_created_ms(session->created_ms);
          found.set_updated_ms(session->updated_ms);
          reply->Finish(std::move(found));
        };
        caf::anon_send(sessions_, LoadSessionMessage{call.tenant, request->session_id(), std::move(answer)});
      });
}

grpc::ServerUnaryReactor* RouterService::DeleteSession(grpc::CallbackServerContext* context,
                                                       const v1::DeleteSessionRequest* request,
                                                       v1::DeleteSessionResponse* response) {
  using Reply = platform::UnaryReply<v1::DeleteSessionResponse>;
  return platform::ServeUnary<v1::DeleteSessionResponse>(
      context, response, [&](const platform::CallContext& call, std::shared_ptr<Reply> reply) {
        auto answer = [reply](Status status) {
          if (!status.ok()) return reply->Finish(status);
          reply->Finish(v1::DeleteSessionResponse());
        };
        caf::anon_send(sessions_,
                       DeleteSessionMessage{call.tenant, request->session_id(), std::move(answer)});
      });
}

}  // namespace conclave::router
