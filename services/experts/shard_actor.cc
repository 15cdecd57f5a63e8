#include "services/experts/shard_actor.h"

#include <utility>

namespace conclave::experts {

void StreamSession::Take(const Status& computed, v1::ExchangeResponse response) {
  if (!computed.ok()) return stream->Finish(computed);
  stream->Write(std::move(response));
  stream->ResumeReading();
}

ShardActor::ShardActor(caf::actor_config& config, std::shared_ptr<FrameComputer> computer)
    : caf::event_based_actor(config), computer_(std::move(computer)) {}

caf::behavior ShardActor::make_behavior() {
  return {[this](const FrameMessage& message) {
    if (message.session->stream->cancelled()) return;
    v1::ExchangeResponse response;
    const Status computed = computer_->Answer(*message.session, *message.request, response);
    message.session->Take(computed, std::move(response));
  }};
}

}  // namespace conclave::experts
