#pragma once

#include <memory>

#include "conclave/v1/feedback.grpc.pb.h"
#include "platform/rpc/forwarder.h"

namespace conclave::router {

/// The public methods of a feedback service in another process, passed on to it (platform/rpc/forwarder.h
/// says how). Record is for routers alone and gets PERMISSION_DENIED: who can record can make votes up.
class FeedbackForward final : public v1::FeedbackService::CallbackService {
 public:
  /// `channel` null: no process of the installation has the service.
  FeedbackForward(const std::shared_ptr<grpc::Channel>& channel, platform::ForwardOptions options)
      : forwarder_(channel, std::move(options)) {}

  grpc::ServerUnaryReactor* Rate(grpc::CallbackServerContext* context, const v1::RateRequest* request,
                                 v1::RateResponse* response) override;
  grpc::ServerBidiReactor<v1::RateStreamRequest, v1::RateStreamResponse>* RateStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Record(grpc::CallbackServerContext* context, const v1::RecordRequest* request,
                                   v1::RecordResponse* response) override;
  grpc::ServerWriteReactor<v1::ExportResponse>* Export(grpc::CallbackServerContext* context,
                                                       const v1::ExportRequest* request) override;

  bool configured() const { return forwarder_.configured(); }
  bool idle() const { return forwarder_.idle(); }

 private:
  platform::Forwarder<v1::FeedbackService> forwarder_;
};

}  // namespace conclave::router
