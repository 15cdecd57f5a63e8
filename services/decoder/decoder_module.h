#pragma once

#include <memory>

#include "base/result.h"
#include "engine/model/feed_forward.h"
#include "platform/module.h"

namespace conclave::decoder {

/// Loads the model (without its feed-forward layers) and starts its scheduler. `local_experts` is the
/// process's own shard, called directly; without one the shards are reached through `context.channels`.
Result<std::unique_ptr<platform::ServiceModule>> MakeDecoderModule(
    const platform::ModuleContext& context, std::shared_ptr<engine::FeedForwardShard> local_experts,
    std::shared_ptr<engine::ThreadPool> pool);

}  // namespace conclave::decoder
