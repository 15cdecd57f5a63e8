#pragma once

#include <memory>
#include <string>

#include <caf/all.hpp>

#include "conclave/v1/experts.pb.h"
#include "engine/model/feed_forward.h"
#include "engine/parallel/thread_pool.h"
#include "platform/rpc/server_call.h"
#include "services/experts/exchange_frame.h"

namespace conclave::experts {

using ExchangeStream = platform::BidiServerStream<v1::ExchangeRequest, v1::ExchangeResponse>;

/// One client's stream, as the shard sees it.
struct ExchangeSession {
  std::shared_ptr<ExchangeStream> stream;
  uint64_t next_frame = 0;
};

/// A frame to compute.
struct FrameMessage {
  std::shared_ptr<ExchangeSession> session;
  std::shared_ptr<const v1::ExchangeRequest> request;
};

/// Computes the resident slices of feed-forward layers: a detached actor, whose own thread is the engine's
/// first. A frame that does not fit ends its stream and nothing else.
class ShardActor : public caf::event_based_actor {
 public:
  ShardActor(caf::actor_config& config, std::shared_ptr<engine::FeedForwardShard> shard,
             std::shared_ptr<engine::ThreadPool> pool, std::string model_hash);

  caf::behavior make_behavior() override;
  const char* name() const override { return "shard"; }

 private:
  Status Check(const ExchangeSession& session, const v1::ExchangeRequest& request) const;
  Result<v1::ExchangeResponse> Compute(ExchangeSession& session, const v1::ExchangeRequest& request);

  std::shared_ptr<engine::FeedForwardShard> shard_;
  std::shared_ptr<engine::ThreadPool> pool_;
  std::string model_hash_;
  FrameInput frame_;
};

}  // namespace conclave::experts

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::experts::FrameMessage)
