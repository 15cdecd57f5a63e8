#pragma once

#include <atomic>
#include <memory>

#include <caf/all.hpp>
#include <grpcpp/grpcpp.h>

#include "conclave/v1/decoder.grpc.pb.h"
#include "platform/rpc/local_streams.h"
#include "services/decoder/scheduler_actor.h"

namespace conclave::decoder {

/// The gRPC face of the decoder: turns streams into messages for the SchedulerActor, and its events into
/// frames.
class DecoderService final : public v1::DecoderService::CallbackService {
 public:
  /// `description` holds everything of a StatusResponse that does not change.
  DecoderService(caf::actor scheduler, v1::StatusResponse description);

  grpc::ServerBidiReactor<v1::GenerateRequest, v1::GenerateResponse>* Generate(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext* context, const v1::StatusRequest* request,
                                   v1::StatusResponse* response) override;

  /// Serves Generate without gRPC too.
  void OfferStreams(platform::LocalStreams& local);

  /// New sequences are refused from now on.
  void StartDrain();
  bool draining() const { return draining_; }

 private:
  using GenerateStream = platform::BidiServerStream<v1::GenerateRequest, v1::GenerateResponse>;

  void ServeGenerate(std::shared_ptr<GenerateStream> stream);

  caf::actor scheduler_;
  v1::StatusResponse description_;
  std::atomic<bool> draining_ = false;
};

}  // namespace conclave::decoder
