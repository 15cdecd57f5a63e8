#pragma once

#include <memory>

#include <caf/all.hpp>

#include "conclave/v1/experts.pb.h"
#include "platform/rpc/server_call.h"
#include "services/experts/frame_computer.h"

namespace conclave::experts {

using ExchangeStream = platform::BidiServerStream<v1::ExchangeRequest, v1::ExchangeResponse>;

/// One client's stream, as the shard sees it.
struct StreamSession : ExchangeSession {
  explicit StreamSession(std::shared_ptr<ExchangeStream> from) : stream(std::move(from)) {}

  /// Writes the answer and goes on reading, or ends the stream.
  void Take(const Status& computed, v1::ExchangeResponse response);

  std::shared_ptr<ExchangeStream> stream;
};

/// A frame to compute.
struct FrameMessage {
  std::shared_ptr<StreamSession> session;
  std::shared_ptr<const v1::ExchangeRequest> request;
};

/// Computes the frames that would hold up one of gRPC's threads: a detached actor, whose own thread is the
/// engine's first. A frame that does not fit ends its stream and nothing else.
class ShardActor : public caf::event_based_actor {
 public:
  ShardActor(caf::actor_config& config, std::shared_ptr<FrameComputer> computer);

  caf::behavior make_behavior() override;
  const char* name() const override { return "shard"; }

 private:
  std::shared_ptr<FrameComputer> computer_;
};

}  // namespace conclave::experts

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::experts::FrameMessage)
