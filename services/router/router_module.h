#pragma once

#include <memory>

#include "base/result.h"
#include "platform/module.h"

namespace conclave::router {

/// The public face; finds the other services through `context.channels` when it starts. Answers for
/// FeedbackService and RetrieverService too where they live in other processes.
Result<std::unique_ptr<platform::ServiceModule>> MakeRouterModule(const platform::ModuleContext& context);

}  // namespace conclave::router
