#pragma once

#include <memory>

#include "engine/parallel/thread_pool.h"
#include "platform/config/config.h"

namespace conclave::app {

/// The engine's threads as the configuration wants them.
inline std::shared_ptr<engine::ThreadPool> NewEnginePool(const platform::Config& config) {
  return std::make_shared<engine::ThreadPool>(static_cast<int>(config.threads), config.pin_threads);
}

}  // namespace conclave::app
