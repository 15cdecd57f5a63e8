#pragma once

#include <memory>

#include "base/result.h"
#include "engine/model/feed_forward.h"
#include "engine/parallel/thread_pool.h"
#include "platform/module.h"

namespace conclave::experts {

/// An experts service and the shard behind it, which a decoder in the same process calls directly.
struct ExpertsModule {
  std::unique_ptr<platform::ServiceModule> module;
  std::shared_ptr<engine::FeedForwardShard> shard;
  /// All slices of the model live here.
  bool complete = false;
};

/// Loads the slices that the configuration gives to this process (all, when it names none).
Result<ExpertsModule> MakeExpertsModule(const platform::ModuleContext& context,
                                        std::shared_ptr<engine::ThreadPool> pool);

}  // namespace conclave::experts
