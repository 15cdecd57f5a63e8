#include "services/feedback/feedback_service.h"

#include <caf/send.hpp>

#include "services/feedback/limits.h"
#include "services/feedback/prepare.h"
#include "services/feedback/rate_session.h"

namespace conclave::feedback {

using platform::CallContext;

grpc::ServerUnaryReactor* FeedbackService::Rate(grpc::CallbackServerContext* context,
                                                const v1::RateRequest* request, v1::RateResponse* response) {
  return platform::ServeUnary(context, response, [&](const CallContext& call, auto reply) {
    desk_.Rate(
        *request, call.tenant, [reply](Result<v1::RateResponse> result) { reply->Finish(std::move(result)); },
        [reply] { return reply->cancelled(); });
  });
}

grpc::ServerBidiReactor<v1::RateStreamRequest, v1::RateStreamResponse>* FeedbackService::RateStream(
    grpc::CallbackServerContext* context) {
  return platform::ServeBidi<v1::RateStreamRequest, v1::RateStreamResponse>(
      context, [&](const CallContext& call, auto stream) { RateSession::Serve(stream, desk_, call.tenant); });
}

grpc::ServerUnaryReactor* FeedbackService::Record(grpc::CallbackServerContext* context,
                                                  const v1::RecordRequest* request,
                                                  v1::RecordResponse* response) {
  return platform::ServeUnary(context, response, [&](const CallContext& call, auto reply) {
    auto tenant = TenantFor(request->tenant(), call.tenant, platform::IsTrustedPeer(call.peer));
    if (!tenant.ok()) return reply->Finish(tenant.status());
    v1::RecordRequest record = *request;
    record.set_tenant(*std::move(tenant));
    desk_.Record(
        std::move(record), [reply](Result<v1::RecordResponse> result) { reply->Finish(std::move(result)); },
        [reply] { return reply->cancelled(); });
  });
}

grpc::ServerWriteReactor<v1::ExportResponse>* FeedbackService::Export(grpc::CallbackServerContext* context,
                                                                      const v1::ExportRequest* request) {
  return platform::ServeStream<v1::ExportResponse>(
      context,
      [&](const CallContext& call, auto stream) {
        const Status started = StartExport(call, *request, stream);
        if (!started.ok()) stream->Finish(started);
      },
      kExportStream);
}

Status FeedbackService::StartExport(const CallContext& call, v1::ExportRequest request,
                                    const std::shared_ptr<ExportStream>& stream) {
  CONCLAVE_RETURN_IF_ERROR(CheckExport(request));
  CONCLAVE_ASSIGN_OR_RETURN(std::string tenant,
                            TenantFor(request.tenant(), call.tenant, platform::IsTrustedPeer(call.peer)));
  request.set_tenant(std::move(tenant));
  auto slot = exports_.TryTake();
  if (!slot) {
    Status full =
        ResourceExhausted(std::to_string(kMaxExports) + " exports run already: wait for one to end");
    return full.WithRetryAfterMs(kExportRetryAfterMs);
  }
  auto job = std::make_shared<ExportJob>(
      ExportJob{std::move(slot), ExportCursor(store_, std::move(request)), stream});
  caf::anon_send(actors_.spawn<caf::detached>(ExportActor, std::move(job)), PumpAtom::value);
  return Status::Ok();
}

}  // namespace conclave::feedback
