#include "services/decoder/decoder_service.h"

#include <utility>

#include "platform/rpc/server_call.h"
#include "services/decoder/limits.h"
#include "services/decoder/wire.h"

namespace conclave::decoder {
namespace {

/// Writes a stream's events as frames: one a step while the stream is writable. What is told while it is not
/// (refusals, cancellations) goes to the other half of its queue, and a client that asks for more of that
/// than fits loses its stream.
class StreamSink final : public EventSink {
 public:
  using Stream = platform::ServerStream<v1::GenerateResponse>;

  explicit StreamSink(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {}
  void Deliver(std::vector<SequenceEvent> events) override { stream_->Write(ToWire(events)); }
  bool Ready() const override { return stream_->writable(); }
  void Abort(conclave::Status error) override { stream_->Abort(std::move(error)); }

 private:
  std::shared_ptr<Stream> stream_;
};

/// Tells every answer of a request that breaks a bound; of too many answers, only as many as are allowed.
void Refuse(const std::shared_ptr<EventSink>& sink, const v1::AdmitSequence& asked, const Status& status) {
  std::vector<SequenceEvent> refused;
  refused.push_back({.sequence_id = asked.sequence_id(), .end = SequenceEnd{.error = status}});
  for (const v1::FurtherAnswer& answer : asked.further_answers()) {
    if (static_cast<int64_t>(refused.size()) >= kMostAnswers) break;
    refused.push_back({.sequence_id = answer.sequence_id(), .end = SequenceEnd{.error = status}});
  }
  sink->Deliver(std::move(refused));
}

}  // namespace

DecoderService::DecoderService(caf::actor scheduler, v1::StatusResponse description)
    : scheduler_(std::move(scheduler)), description_(std::move(description)) {}

grpc::ServerBidiReactor<v1::GenerateRequest, v1::GenerateResponse>* DecoderService::Generate(
    grpc::CallbackServerContext* context) {
  return platform::ServeBidi<v1::GenerateRequest, v1::GenerateResponse>(
      context, [this](const platform::CallContext&, std::shared_ptr<GenerateStream> stream) {
        ServeGenerate(std::move(stream));
      });
}

void DecoderService::OfferStreams(platform::LocalStreams& local) {
  local.Offer<v1::GenerateRequest, v1::GenerateResponse>(
      [this](const platform::CallContext&, std::shared_ptr<GenerateStream> stream) {
        ServeGenerate(std::move(stream));
      });
}

void DecoderService::ServeGenerate(std::shared_ptr<GenerateStream> stream) {
  auto sink = std::make_shared<StreamSink>(stream);
  stream->OnCancel([scheduler = scheduler_, sink] { caf::anon_send(scheduler, CloseMessage{sink}); });
  stream->OnWritable([scheduler = scheduler_] { caf::anon_send(scheduler, ReadyMessage{}); });
  // A client that writes no more has left: its sequences would speak to nobody.
  std::weak_ptr<GenerateStream> weak = stream;
  stream->OnHalfClose([scheduler = scheduler_, sink, weak] {
    caf::anon_send(scheduler, CloseMessage{sink});
    if (auto open = weak.lock()) open->Finish(conclave::Status::Ok());
  });
  stream->OnMessage([this, scheduler = scheduler_, sink](v1::GenerateRequest request) {
    if (request.has_cancel()) {
      caf::anon_send(scheduler, CancelMessage{sink, request.cancel().sequence_id()});
      return;
    }
    auto sequence = FromWire(request.admit(), description_.default_sampling(), sink);
    if (!sequence.ok()) return Refuse(sink, request.admit(), sequence.status());
    caf::anon_send(scheduler, AdmitMessage{std::make_shared<SequenceRequest>(*std::move(sequence))});
  });
}

grpc::ServerUnaryReactor* DecoderService::Status(grpc::CallbackServerContext* context,
                                                 const v1::StatusRequest*, v1::StatusResponse* response) {
  return platform::ServeUnary<v1::StatusResponse>(
      context, response,
      [this](const platform::CallContext&, std::shared_ptr<platform::UnaryReply<v1::StatusResponse>> reply) {
        auto answer = [reply, status = description_,
                       draining = draining()](const SchedulerStatus& now) mutable {
          status.set_running_sequences(static_cast<uint32_t>(now.running));
          status.set_paused_sequences(static_cast<uint32_t>(now.paused));
          status.set_queued_sequences(static_cast<uint32_t>(now.queued));
          status.set_queued_tokens(static_cast<uint64_t>(now.queued_tokens));
          status.set_kv_bytes_used(static_cast<uint64_t>(now.kv_bytes_used));
          status.set_kv_bytes_total(static_cast<uint64_t>(now.kv_bytes_total));
          status.set_draft_tokens(static_cast<uint64_t>(now.totals.draft_tokens));
          status.set_accepted_draft_tokens(static_cast<uint64_t>(now.totals.accepted_draft_tokens));
          status.set_prefix_cache_bytes_used(static_cast<uint64_t>(now.prefixes.bytes_used));
          status.set_prefix_cache_hits(static_cast<uint64_t>(now.prefixes.hits));
          status.set_prefix_cache_misses(static_cast<uint64_t>(now.prefixes.misses));
          status.set_prefix_cache_evictions(static_cast<uint64_t>(now.prefixes.evictions));
          status.set_prefix_disk_bytes_used(static_cast<uint64_t>(now.disk.bytes_used));
          status.set_prefix_disk_hits(static_cast<uint64_t>(now.disk.hits));
          status.set_prefix_disk_misses(static_cast<uint64_t>(now.disk.misses));
          status.set_prefix_disk_evictions(static_cast<uint64_t>(now.disk.evictions));
          status.set_prefix_disk_errors(static_cast<uint64_t>(now.disk.errors));
          status.set_draining(draining);
          reply->Finish(std::move(status));
        };
        caf::anon_send(scheduler_, SnapshotMessage{std::move(answer)});
      });
}

void DecoderService::StartDrain() {
  draining_ = true;
  caf::anon_send(scheduler_, DrainMessage{});
}

}  // namespace conclave::decoder
