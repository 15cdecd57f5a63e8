#pragma once

#include <caf/actor_system.hpp>

#include "conclave/v1/feedback.grpc.pb.h"
#include "platform/storage/durable_store.h"
#include "services/feedback/export_actor.h"
#include "services/feedback/feedback_desk.h"

namespace conclave::feedback {

/// The gRPC face: hands ratings and answers to the desk and each export to an actor of its own.
class FeedbackService final : public v1::FeedbackService::CallbackService {
 public:
  /// All must outlive this, and this every call.
  FeedbackService(caf::actor_system& actors, const platform::DurableStore& store, FeedbackDesk& desk,
                  ExportSlots& exports)
      : actors_(actors), store_(store), desk_(desk), exports_(exports) {}

  grpc::ServerUnaryReactor* Rate(grpc::CallbackServerContext* context, const v1::RateRequest* request,
                                 v1::RateResponse* response) override;
  grpc::ServerBidiReactor<v1::RateStreamRequest, v1::RateStreamResponse>* RateStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Record(grpc::CallbackServerContext* context, const v1::RecordRequest* request,
                                   v1::RecordResponse* response) override;
  grpc::ServerWriteReactor<v1::ExportResponse>* Export(grpc::CallbackServerContext* context,
                                                       const v1::ExportRequest* request) override;

 private:
  using ExportStream = platform::ServerStream<v1::ExportResponse>;
  Status StartExport(const platform::CallContext& call, v1::ExportRequest request,
                     const std::shared_ptr<ExportStream>& stream);

  caf::actor_system& actors_;
  const platform::DurableStore& store_;
  FeedbackDesk& desk_;
  ExportSlots& exports_;
};

}  // namespace conclave::feedback
