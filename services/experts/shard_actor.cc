#include "services/experts/shard_actor.h"

#include <utility>

namespace conclave::experts {

ShardActor::ShardActor(caf::actor_config& config, std::shared_ptr<engine::FeedForwardShard> shard,
                       std::shared_ptr<engine::ThreadPool> pool, std::string model_hash)
    : caf::event_based_actor(config),
      shard_(std::move(shard)),
      pool_(std::move(pool)),
      model_hash_(std::move(model_hash)) {}

caf::behavior ShardActor::make_behavior() {
  return {[this](const FrameMessage& message) {
    ExchangeSession& session = *message.session;
    if (session.stream->cancelled()) return;
    auto response = Compute(session, *message.request);
    if (!response.ok()) return session.stream->Finish(response.status());
    session.stream->Write(*std::move(response));
    session.stream->ResumeReading();
  }};
}

Status ShardActor::Check(const ExchangeSession& session, const v1::ExchangeRequest& request) const {
  if (request.frame() != session.next_frame) {
    return InvalidArgument("frame " + std::to_string(request.frame()) + " came instead of " +
                           std::to_string(session.next_frame));
  }
  const bool needs_hash = session.next_frame == 0 || !request.model_hash().empty();
  if (needs_hash && request.model_hash() != model_hash_) {
    return FailedPrecondition("this shard serves model " + model_hash_.substr(0, 12) + ", not '" +
                              request.model_hash().substr(0, 12) + "'");
  }
  if (request.layer() >= shard_->layers()) {
    return InvalidArgument("layer " + std::to_string(request.layer()) + " of " +
                           std::to_string(shard_->layers()));
  }
  return Status::Ok();
}

Result<v1::ExchangeResponse> ShardActor::Compute(ExchangeSession& session,
                                                 const v1::ExchangeRequest& request) {
  CONCLAVE_RETURN_IF_ERROR(Check(session, request));
  const int64_t hidden = shard_->hidden();
  const int64_t layer = request.layer();
  CONCLAVE_RETURN_IF_ERROR(ReadInput(request.input(), hidden, shard_->quantised(layer), frame_));
  CONCLAVE_RETURN_IF_ERROR(ReadWork(request, *shard_, frame_));
  ++session.next_frame;
  v1::ExchangeResponse response;
  response.set_frame(request.frame());
  v1::Tensor& output = *response.mutable_output();
  output.set_dtype(v1::TENSOR_DTYPE_F32);
  if (request.experts().empty()) {
    output.add_shape(static_cast<uint32_t>(frame_.work.size()));
    output.add_shape(static_cast<uint32_t>(frame_.input.tokens));
  } else {
    output.add_shape(static_cast<uint32_t>(frame_.output_rows));
  }
  output.add_shape(static_cast<uint32_t>(hidden));
  std::string& data = *output.mutable_data();
  data.resize(frame_.output_rows * hidden * sizeof(float));
  // A string's buffer is aligned for any number: it comes from operator new.
  shard_->Compute(layer, frame_.input, frame_.work, *pool_, reinterpret_cast<float*>(data.data()));
  return response;
}

}  // namespace conclave::experts
