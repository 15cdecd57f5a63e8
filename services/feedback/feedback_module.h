#pragma once

#include <memory>

#include "base/result.h"
#include "platform/module.h"

namespace conclave::feedback {

/// The feedback service, with its data in `data_dir`/feedback: the store in "store", the key of the vote
/// tokens in "vote_token.key". Errors: FAILED_PRECONDITION (another process has the store; others may read
/// the key), DATA_LOSS, RESOURCE_EXHAUSTED, UNAVAILABLE, each with the path.
Result<std::unique_ptr<platform::ServiceModule>> MakeFeedbackModule(const platform::ModuleContext& context);

}  // namespace conclave::feedback
